package main

import (
	"fmt"
	"os"

	waLog "go.mau.fi/whatsmeow/util/log"
)

// stderrLog keeps standard output free for events.
type stderrLog struct{ module, level string }

func (l stderrLog) print(level, text string, args ...any) {
	if level == "DEBUG" && l.level != "debug" {
		return
	}
	fmt.Fprintf(os.Stderr, "%s %s %s\n", level, l.module, fmt.Sprintf(text, args...))
}
func (l stderrLog) Errorf(text string, args ...any) { l.print("ERROR", text, args...) }
func (l stderrLog) Warnf(text string, args ...any)  { l.print("WARN", text, args...) }
func (l stderrLog) Infof(text string, args ...any)  { l.print("INFO", text, args...) }
func (l stderrLog) Debugf(text string, args ...any) { l.print("DEBUG", text, args...) }
func (l stderrLog) Sub(module string) waLog.Logger {
	return stderrLog{l.module + "/" + module, l.level}
}

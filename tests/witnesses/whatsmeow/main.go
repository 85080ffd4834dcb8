// A client that nobody here wrote: go.mau.fi/whatsmeow, steered by lines of JSON.
//
// Usage: whatsmeow SIMULATOR_URL DATABASE PUSH_NAME. Commands come on standard input, events go to standard output.
// Only the server's address and the trust anchors differ from a client of the real WhatsApp. WITNESS_QUIET leaves out the
// events of messages, WITNESS_STORE_OPTIONS is added to the options of the store: a measurement sets both.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	waLog "go.mau.fi/whatsmeow/util/log"
	"google.golang.org/protobuf/proto"
	_ "modernc.org/sqlite"
)

type command struct {
	Do     string   `json:"do"`
	Number string   `json:"number"`
	To     string   `json:"to"`
	Text   string   `json:"text"`
	Name   string   `json:"name"`
	Group  string   `json:"group"`
	State  string   `json:"state"`
	With   []string `json:"with"`
	Base64 []byte   `json:"base64"`
	ID     string   `json:"id"`
	On     bool     `json:"on"`
}

var (
	output sync.Mutex
	client *whatsmeow.Client
)

func emit(fields map[string]any) {
	output.Lock()
	defer output.Unlock()
	line, _ := json.Marshal(fields)
	fmt.Println(string(line))
}

func fail(doing string, err error) {
	emit(map[string]any{"event": "error", "text": doing + ": " + err.Error()})
}

// trust replaces the root key, sends the chat socket to the simulator, and trusts its media certificate.
func trust(base string) error {
	response, err := http.Get(base + "/certificate")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var anchors struct {
		NoiseRootKey     string `json:"noiseRootKey"`
		MediaCertificate string `json:"mediaCertificate"`
	}
	if err = json.NewDecoder(response.Body).Decode(&anchors); err != nil {
		return err
	}
	root, err := hex.DecodeString(anchors.NoiseRootKey)
	if err != nil {
		return err
	}
	copy(whatsmeow.WACertPubKey[:], root)
	address, err := url.Parse(base)
	if err != nil {
		return err
	}
	chat := &http.Client{Transport: &http.Transport{
		DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address.Host)
		},
	}}
	client.SetPreLoginHTTPClient(chat)
	client.SetWebsocketHTTPClient(chat)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(anchors.MediaCertificate))
	client.SetMediaHTTPClient(&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}})
	return nil
}

func textOf(message *waE2E.Message) string {
	if text := message.GetConversation(); text != "" {
		return text
	}
	if text := message.GetExtendedTextMessage().GetText(); text != "" {
		return text
	}
	return message.GetImageMessage().GetCaption()
}

func onEvent(event any) {
	switch event := event.(type) {
	case *events.QR:
		emit(map[string]any{"event": "qr", "code": event.Codes[0]})
	case *events.PairSuccess:
		emit(map[string]any{"event": "paired", "jid": event.ID.String()})
	case *events.PairError:
		fail("pair", event.Error)
	case *events.Connected:
		emit(map[string]any{"event": "connected"})
	case *events.LoggedOut:
		emit(map[string]any{"event": "logged_out", "reason": event.Reason.String()})
	case *events.ConnectFailure:
		emit(map[string]any{"event": "connect_failure", "reason": event.Reason.String()})
	case *events.UndecryptableMessage:
		emit(map[string]any{"event": "undecryptable", "id": event.Info.ID, "why": string(event.UnavailableType)})
	case *events.Message:
		if os.Getenv("WITNESS_QUIET") != "" {
			return
		}
		fields := map[string]any{
			"event": "message", "id": event.Info.ID, "text": textOf(event.Message), "fromMe": event.Info.IsFromMe,
			"from": event.Info.Sender.ToNonAD().String(), "chat": event.Info.Chat.String(), "pushName": event.Info.PushName,
		}
		if image := event.Message.GetImageMessage(); image != nil {
			bytes, err := client.Download(context.Background(), image)
			if err != nil {
				fail("download", err)
			}
			fields["size"] = len(bytes)
		}
		emit(fields)
	case *events.Receipt:
		emit(map[string]any{"event": "receipt", "ids": event.MessageIDs, "type": string(event.Type), "fromMe": event.IsFromMe})
	case *events.Presence:
		emit(map[string]any{"event": "presence", "from": event.From.String(), "unavailable": event.Unavailable})
	case *events.ChatPresence:
		emit(map[string]any{"event": "typing", "chat": event.Chat.String(), "state": string(event.State)})
	case *events.Pin:
		emitSetting("pin", event.JID, event.Action.GetPinned())
	case *events.Mute:
		emitSetting("mute", event.JID, event.Action.GetMuted())
	case *events.Archive:
		emitSetting("archive", event.JID, event.Action.GetArchived())
	case *events.PushNameSetting:
		emit(map[string]any{"event": "setting", "setting": "push_name", "text": event.Action.GetName()})
	case *events.Contact:
		emit(map[string]any{"event": "setting", "setting": "contact", "chat": event.JID.String(), "text": event.Action.GetFullName()})
	case *events.HistorySync:
		for _, conversation := range event.Data.GetConversations() {
			for _, past := range conversation.GetMessages() {
				text := textOf(past.GetMessage().GetMessage())
				emit(map[string]any{"event": "history", "kind": event.Data.GetSyncType().String(), "text": text})
			}
		}
	case *events.CallOffer:
		emitCall("offer", event.BasicCallMeta)
	case *events.CallOfferNotice:
		emitCall("offer_notice", event.BasicCallMeta)
	case *events.CallTerminate:
		emitCall("terminate", event.BasicCallMeta)
	case *events.Picture:
		emit(map[string]any{"event": "picture_changed", "id": event.PictureID, "removed": event.Remove})
	case *events.IdentityChange:
		emit(map[string]any{"event": "identity", "from": event.JID.String()})
	case *events.PrivacySettings:
		emit(map[string]any{"event": "privacy_changed"})
	case *events.GroupInfo:
		fields := map[string]any{"event": "group", "id": event.JID.String()}
		if event.Name != nil {
			fields["name"] = event.Name.Name
		}
		if event.Announce != nil {
			fields["announce"] = event.Announce.IsAnnounce
		}
		if event.Ephemeral != nil {
			fields["ephemeral"] = event.Ephemeral.DisappearingTimer
		}
		emit(fields)
	case *events.JoinedGroup:
		emit(map[string]any{"event": "joined_group", "id": event.JID.String(), "name": event.Name})
	}
}

func address(to string) (types.JID, error) {
	if strings.Contains(to, "@") {
		return types.ParseJID(to)
	}
	return types.NewJID(to, types.DefaultUserServer), nil
}

func emitCall(state string, call types.BasicCallMeta) {
	emit(map[string]any{"event": "call", "id": call.CallID, "state": state, "group": call.GroupJID.String()})
}

func emitSetting(name string, chat types.JID, on bool) {
	emit(map[string]any{"event": "setting", "setting": name, "chat": chat.String(), "on": on})
}

func setting(order command, chat types.JID) (appstate.PatchInfo, error) {
	switch order.Name {
	case "pin":
		return appstate.BuildPin(chat, order.On), nil
	case "mute":
		return appstate.BuildMute(chat, order.On, 0), nil
	case "archive":
		return appstate.BuildArchive(chat, order.On, time.Time{}, nil), nil
	case "push_name":
		return appstate.BuildSettingPushName(order.Text), nil
	default:
		return appstate.PatchInfo{}, fmt.Errorf("no such setting")
	}
}

func inChannel(ctx context.Context, channel types.JID, order command) error {
	switch order.Do {
	case "channel_send":
		_, err := client.SendMessage(ctx, channel, &waE2E.Message{Conversation: proto.String(order.Text)})
		return err
	case "channel_react":
		id, err := strconv.Atoi(order.ID)
		if err != nil {
			return err
		}
		return client.NewsletterSendReaction(ctx, channel, id, order.Text, "")
	case "channel_follow":
		err := client.FollowNewsletter(ctx, channel)
		if err == nil {
			emit(map[string]any{"event": "channel_followed"})
		}
		return err
	default:
		err := client.UnfollowNewsletter(ctx, channel)
		if err == nil {
			emit(map[string]any{"event": "channel_unfollowed"})
		}
		return err
	}
}

func inCommunity(ctx context.Context, community types.JID, order command) error {
	if order.Do == "community_link" {
		group, err := types.ParseJID(order.Group)
		if err == nil {
			err = client.LinkGroup(ctx, community, group)
		}
		if err == nil {
			emit(map[string]any{"event": "community_linked"})
		}
		return err
	}
	groups, err := client.GetSubGroups(ctx, community)
	ids := []string{}
	for _, group := range groups {
		ids = append(ids, group.JID.String())
	}
	if err == nil {
		emit(map[string]any{"event": "community_groups", "groups": ids})
	}
	return err
}

func obey(ctx context.Context, order command) error {
	switch order.Do {
	case "connect":
		return client.ConnectContext(ctx)
	case "disconnect":
		client.Disconnect()
		emit(map[string]any{"event": "disconnected"})
		return nil
	case "pair_code":
		code, err := client.PairPhone(ctx, order.Number, false, whatsmeow.PairClientChrome, "Chrome (Linux)")
		if err == nil {
			emit(map[string]any{"event": "pair_code", "code": code})
		}
		return err
	case "send", "send_image":
		to, err := address(order.To)
		if err != nil {
			return err
		}
		message := &waE2E.Message{Conversation: proto.String(order.Text)}
		if order.Do == "send_image" {
			uploaded, err := client.Upload(ctx, order.Base64, whatsmeow.MediaImage)
			if err != nil {
				return err
			}
			message = &waE2E.Message{ImageMessage: &waE2E.ImageMessage{
				URL: &uploaded.URL, DirectPath: &uploaded.DirectPath, MediaKey: uploaded.MediaKey,
				FileEncSHA256: uploaded.FileEncSHA256, FileSHA256: uploaded.FileSHA256, FileLength: &uploaded.FileLength,
				Mimetype: proto.String("image/png"), Caption: proto.String(order.Text),
			}}
		}
		sent, err := client.SendMessage(ctx, to, message)
		if err == nil {
			emit(map[string]any{"event": "sent", "id": sent.ID})
		}
		return err
	case "exists":
		found, err := client.IsOnWhatsApp(ctx, []string{"+" + order.Number})
		if err == nil {
			emit(map[string]any{"event": "exists", "found": len(found) == 1 && found[0].IsIn, "query": found[0].Query})
		}
		return err
	case "about":
		jid := types.NewJID(order.Number, types.DefaultUserServer)
		found, err := client.GetUserInfo(ctx, []types.JID{jid})
		if err == nil {
			emit(map[string]any{"event": "about", "text": found[jid].Status})
		}
		return err
	case "group_create":
		with := make([]types.JID, len(order.With))
		for i, number := range order.With {
			with[i] = types.NewJID(number, types.DefaultUserServer)
		}
		group, err := client.CreateGroup(ctx, whatsmeow.ReqCreateGroup{Name: order.Name, Participants: with})
		if err == nil {
			emit(map[string]any{"event": "group_created", "id": group.JID.String(), "members": len(group.Participants)})
		}
		return err
	case "group_topic":
		id, err := types.ParseJID(order.To)
		if err != nil {
			return err
		}
		group, err := client.GetGroupInfo(ctx, id)
		if err == nil {
			emit(map[string]any{"event": "group_topic", "text": group.Topic})
		}
		return err
	case "set":
		var chat types.JID
		var err error
		if order.To != "" {
			if chat, err = address(order.To); err != nil {
				return err
			}
		}
		patch, err := setting(order, chat)
		if err == nil {
			err = client.SendAppState(ctx, patch)
		}
		if err == nil {
			emit(map[string]any{"event": "set"})
		}
		return err
	case "status_post":
		message := &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String(order.Text)}}
		sent, err := client.SendMessage(ctx, types.StatusBroadcastJID, message)
		if err == nil {
			emit(map[string]any{"event": "sent", "id": sent.ID})
		}
		return err
	case "read":
		chat, err := address(order.To)
		if err != nil {
			return err
		}
		return client.MarkRead(ctx, []types.MessageID{order.ID}, time.Now(), chat, chat)
	case "privacy":
		_, err := client.SetPrivacySetting(ctx, types.PrivacySettingType(order.Name), types.PrivacySetting(order.State))
		if err == nil {
			emit(map[string]any{"event": "privacy"})
		}
		return err
	case "picture":
		of, err := address(order.To)
		if err != nil {
			return err
		}
		found, err := client.GetProfilePictureInfo(ctx, of, &whatsmeow.GetProfilePictureParams{ExistingID: order.ID})
		if err == nil && found == nil {
			found = &types.ProfilePictureInfo{}
		}
		if err == nil {
			emit(map[string]any{"event": "picture", "id": found.ID, "url": found.URL})
		}
		return err
	case "channel_create":
		made, err := client.CreateNewsletter(ctx, whatsmeow.CreateNewsletterParams{Name: order.Name})
		if err == nil {
			emit(map[string]any{"event": "channel_created", "id": made.ID.String(), "name": made.ThreadMeta.Name.Text, "role": made.ViewerMeta.Role})
		}
		return err
	case "channel_send", "channel_follow", "channel_unfollow", "channel_react":
		channel, err := types.ParseJID(order.To)
		if err != nil {
			return err
		}
		return inChannel(ctx, channel, order)
	case "community_create":
		group, err := client.CreateGroup(ctx, whatsmeow.ReqCreateGroup{Name: order.Name, GroupParent: types.GroupParent{IsParent: true}})
		if err == nil {
			emit(map[string]any{"event": "community_created", "id": group.JID.String()})
		}
		return err
	case "community_link", "community_groups":
		community, err := types.ParseJID(order.To)
		if err != nil {
			return err
		}
		return inCommunity(ctx, community, order)
	case "business":
		of, err := address(order.To)
		if err != nil {
			return err
		}
		found, err := client.GetBusinessProfile(ctx, of)
		if err == nil {
			emit(map[string]any{"event": "business", "address": found.Address, "category": found.Categories[0].Name})
		}
		return err
	case "bots":
		bots, err := client.GetBotListV2(ctx)
		if err == nil {
			emit(map[string]any{"event": "bots", "count": len(bots)})
		}
		return err
	case "available":
		return client.SendPresence(ctx, types.PresenceAvailable)
	case "subscribe":
		to, err := address(order.To)
		if err != nil {
			return err
		}
		return client.SubscribePresence(ctx, to)
	case "typing":
		to, err := address(order.To)
		if err != nil {
			return err
		}
		return client.SendChatPresence(ctx, to, types.ChatPresence(order.State), types.ChatPresenceMediaText)
	case "logout":
		if err := client.Logout(ctx); err != nil {
			return err
		}
		emit(map[string]any{"event": "logged_out", "reason": "asked"})
		return nil
	default:
		return fmt.Errorf("no such command")
	}
}

func main() {
	ctx := context.Background()
	base, database, pushName := os.Args[1], os.Args[2], os.Args[3]
	log := waLog.Noop
	if level := os.Getenv("WITNESS_LOG"); level != "" {
		log = stderrLog{level: level}
	}
	options := "?_pragma=foreign_keys(1)&_pragma=busy_timeout(10000)" + os.Getenv("WITNESS_STORE_OPTIONS")
	container, err := sqlstore.New(ctx, "sqlite", "file:"+database+options, log)
	if err != nil {
		fail("open the store", err)
		os.Exit(1)
	}
	device, err := container.GetFirstDevice(ctx)
	if err != nil {
		fail("read the store", err)
		os.Exit(1)
	}
	store.DeviceProps.Os = proto.String("witness")
	client = whatsmeow.NewClient(device, log)
	client.EmitAppStateEventsOnFullSync = true
	if device.ID == nil {
		// The simulator chooses the account by the push name of the registration.
		client.GetClientPayload = func() *waWa6.ClientPayload {
			payload := device.GetClientPayload()
			payload.PushName = &pushName
			if device.ID != nil {
				payload.PushName = &device.PushName
			}
			return payload
		}
	}
	client.AddEventHandler(onEvent)
	if err = trust(base); err != nil {
		fail("read the trust anchors", err)
		os.Exit(1)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var order command
		if err := json.Unmarshal(lines.Bytes(), &order); err != nil {
			fail("read a command", err)
			continue
		}
		deadline, cancel := context.WithTimeout(ctx, 30*time.Second)
		if order.Do == "connect" {
			deadline = ctx
		}
		if err := obey(deadline, order); err != nil {
			fail(order.Do, err)
		}
		cancel()
	}
	if err := lines.Err(); err != nil && err != io.EOF {
		fail("read commands", err)
	}
	client.Disconnect()
}

{{- define "kurir.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "kurir.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "kurir.labels" -}}
{{ include "kurir.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "kurir.image" -}}
{{ .root.Values.images.registry }}/{{ .part }}:{{ .root.Values.images.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "kurir.natsSecret" -}}
{{ .Values.nats.existingSecret | default (printf "%s-nats" (include "kurir.name" .)) }}
{{- end }}

{{- define "kurir.natsUrl" -}}
{{- if .Values.nats.enabled -}}
nats://{{ include "kurir.name" . }}-nats:4222
{{- else -}}
{{ required "nats.url says where NATS is (or set nats.enabled=true)" .Values.nats.url }}
{{- end -}}
{{- end }}

{{- define "kurir.apiKeySecret" -}}
{{ .Values.apiKey.existingSecret | default (printf "%s-api-key" (include "kurir.name" .)) }}
{{- end }}

{{- define "kurir.sessionKeySecret" -}}
{{ .Values.gateway.sessionKey.existingSecret | default (printf "%s-session-key" (include "kurir.name" .)) }}
{{- end }}

{{- define "kurir.secretsKeySecret" -}}
{{ .Values.secretsKey.existingSecret | default (printf "%s-secrets-key" (include "kurir.name" .)) }}
{{- end }}

{{/* How a service logs in to NATS, and the settings of its values. */}}
{{- define "kurir.env" -}}
- name: NATS_URL
  value: {{ include "kurir.natsUrl" .root | quote }}
- name: NATS_USER
  value: {{ .part }}
- name: NATS_PASSWORD
  valueFrom: { secretKeyRef: { name: {{ include "kurir.natsSecret" .root }}, key: {{ .part }} } }
- name: NATS_INBOX_PREFIX
  value: _INBOX_{{ .part }}
- name: SECRETS_KEY
  valueFrom: { secretKeyRef: { name: {{ include "kurir.secretsKeySecret" .root }}, key: secrets-key } }
- name: STREAM_REPLICAS
  value: {{ .root.Values.nats.replicas | quote }}
- name: LOG_FORMAT
  value: json
{{- range $name, $value := .values.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- range $name, $from := .values.secretEnv }}
- name: {{ $name }}
  valueFrom: { secretKeyRef: { name: {{ $from.name }}, key: {{ $from.key }} } }
{{- end }}
{{- end }}

{{/* What every pod of Kurir has in common. */}}
{{- define "kurir.pod" -}}
automountServiceAccountToken: false
terminationGracePeriodSeconds: {{ .values.terminationGracePeriodSeconds }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- else }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector: { matchLabels: { {{- include "kurir.selector" . | replace ": " ": \"" | replace "\n" "\", " }}" } }
{{- end }}
{{- end }}

{{- define "kurir.container" -}}
image: {{ include "kurir.image" . }}
imagePullPolicy: {{ .root.Values.images.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
resources: {{ toYaml .values.resources | nindent 2 }}
livenessProbe:
  httpGet: { path: /livez, port: {{ .port }}, scheme: {{ .scheme | default "HTTP" }} }
  periodSeconds: 10
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /readyz, port: {{ .port }}, scheme: {{ .scheme | default "HTTP" }} }
  periodSeconds: 5
{{- end }}

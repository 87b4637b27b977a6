{{/* The name of everything: at most 40 characters, so that a pod's name is a label. */}}
{{- define "kolbridge.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* What selects the pods of a release. */}}
{{- define "kolbridge.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What selects its nodes, and not the pod that migrates. */}}
{{- define "kolbridge.nodes" -}}
{{ include "kolbridge.selector" . }}
app.kubernetes.io/component: node
{{- end }}

{{- define "kolbridge.labels" -}}
{{ include "kolbridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "kolbridge.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The names of all nodes that may run or still drain, with spaces between them. */}}
{{- define "kolbridge.everyNode" -}}
{{- $count := max .Values.replicas .Values.routing.nodes -}}
{{- if .Values.autoscaling.enabled -}}
{{- $count = max $count .Values.autoscaling.maxReplicas -}}
{{- end -}}
{{- range $at := until (int $count) -}}
{{- if $at }} {{ end -}}{{ include "kolbridge.name" $ }}-{{ $at }}
{{- end -}}
{{- end }}

{{/* How a stopping service may go on with its calls: 3600 s at most. */}}
{{- define "kolbridge.drainSeconds" -}}
{{- min (int .Values.longestCallSeconds) 3600 -}}
{{- end }}

{{- define "kolbridge.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "kolbridge.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* A variable from a Secret: name, secret, optional. */}}
{{- define "kolbridge.secretVariable" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .name }}
      {{- if .optional }}
      optional: true
      {{- end }}
{{- end }}

{{/* The environment of a node. */}}
{{- define "kolbridge.environment" -}}
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: NODE_URL
  value: {{ .Values.routing.nodeUrl | default (printf "https://%s/n/$(NODE_NAME)" .Values.host) | quote }}
- name: PUBLIC_URL
  value: {{ printf "https://%s" .Values.host | quote }}
- name: HOST
  value: "0.0.0.0"
- name: PORT
  value: "8080"
- name: ADMIN_HOST
  value: {{ ternary "0.0.0.0" "127.0.0.1" .Values.monitoring.enabled | quote }}
- name: ADMIN_PORT
  value: "9464"
- name: KOLBRIDGE_HOME
  value: /var/lib/kolbridge
- name: WORKERS
  value: {{ .Values.workers | quote }}
- name: MAX_CALL_SECONDS
  value: {{ .Values.longestCallSeconds | quote }}
- name: DRAIN_SECONDS
  value: {{ include "kolbridge.drainSeconds" . | quote }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- $secret := .Values.existingSecret }}
{{- range $name := list "DATABASE_URL" "OPENAI_API_KEY" "TWILIO_AUTH_TOKEN" }}
{{ include "kolbridge.secretVariable" (dict "name" $name "secret" $secret) }}
{{- end }}
{{ include "kolbridge.secretVariable" (dict "name" "ADMIN_TOKEN" "secret" $secret "optional" (not .Values.monitoring.enabled)) }}
{{- range $name := list "HTTPS_PROXY" "OIDC_CLIENT_SECRET" "SMTP_PASSWORD" "TWILIO_AUTH_TOKEN_SECONDARY" "TWILIO_SHARED_KEYS" "TWILIO_SUBACCOUNTS" }}
{{ include "kolbridge.secretVariable" (dict "name" $name "secret" $secret "optional" true) }}
{{- end }}
{{- end }}

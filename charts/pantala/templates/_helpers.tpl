{{/* Name of the chart, as the label app.kubernetes.io/name. */}}
{{- define "pantala.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Name of every object: the release's name, with the chart's unless it is in there already. */}}
{{- define "pantala.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := include "pantala.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* Name of a cluster-wide object: two releases of one name may live in different namespaces. */}}
{{- define "pantala.clusterName" -}}
{{- $full := include "pantala.fullname" . }}
{{- if eq $full .Release.Namespace }}{{ $full }}{{ else }}{{ printf "%s-%s" .Release.Namespace $full }}{{ end }}
{{- end }}

{{/* Labels that select the operator's pods; they can never change. */}}
{{- define "pantala.selectorLabels" -}}
app.kubernetes.io/name: {{ include "pantala.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "pantala.labels" -}}
{{ include "pantala.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "pantala.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "pantala.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "pantala.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* The subject of every binding. */}}
{{- define "pantala.subjects" -}}
- kind: ServiceAccount
  name: {{ include "pantala.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* Whether the cluster has the kind ServiceMonitor, and one is asked for. */}}
{{- define "pantala.monitored" -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.service.enabled (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1/ServiceMonitor") }}true{{ end }}
{{- end }}

{{/* Name of the rules of dashboards and alerts: without alerts there are those alone that count requests. */}}
{{- define "pantala.alertsName" -}}
{{- printf "%s-%s" (include "pantala.fullname" .) (ternary "alerts" "requests" .Values.monitoring.alerts.enabled) }}
{{- end }}

{{/* Seconds of a duration such as 1m30s or 500ms. */}}
{{- define "pantala.seconds" -}}
{{- $sum := 0.0 }}
{{- $units := dict "h" 3600.0 "m" 60.0 "s" 1.0 "ms" 0.001 }}
{{- range regexFindAll "[0-9]+(ms|h|m|s)" . -1 }}
{{- $sum = addf $sum (mulf (regexFind "^[0-9]+" .) (get $units (regexFind "[a-z]+$" .))) }}
{{- end }}
{{- $sum }}
{{- end }}

{{/* Namespace and name of the default gateway, whether the release makes it or not. */}}
{{- define "pantala.gatewayNamespace" -}}
{{- default .Release.Namespace .Values.gateway.namespace }}
{{- end }}

{{- define "pantala.gatewayName" -}}
{{- default (include "pantala.fullname" .) .Values.gateway.name }}
{{- end }}

{{/* Hosts of the gateway, as a list. */}}
{{- define "pantala.gatewayHosts" -}}
{{- toYaml (.Values.gateway.hosts | default (list (printf "*.%s" .Values.traffic.domain))) }}
{{- end }}

{{/* Metadata of what belongs to the gateway. */}}
{{- define "pantala.gatewayMeta" -}}
name: {{ include "pantala.gatewayName" . }}
namespace: {{ include "pantala.gatewayNamespace" . }}
labels:
  {{- include "pantala.labels" . | nindent 2 }}
{{- end }}

{{/* The Secret with the token for Prometheus, if Prometheus is asked and wants one. */}}
{{- define "pantala.prometheusToken" -}}
{{- if .Values.prometheus.url }}{{ .Values.prometheus.tokenSecret.name }}{{ end }}
{{- end }}

{{/* The port of a URL. */}}
{{- define "pantala.portOf" -}}
{{- $url := urlParse . }}
{{- $port := splitList ":" $url.host | last }}
{{- if regexMatch "^[0-9]+$" $port }}{{ $port }}{{ else if eq $url.scheme "https" }}443{{ else }}80{{ end }}
{{- end }}

{{/*
A vector of PromQL with the labels `pod` and `namespace` of the workload, out of those that the exporter gave it.
Input: {vector, pod, namespace}. With an empty label it is that which Prometheus made of the exporter's own where a label of
the target had its name already (`honor_labels: false`), or else the exporter's own. What names no pod has none then.
*/}}
{{- define "pantala.ofWorkload" -}}
label_replace(label_replace(
{{ .vector | indent 2 }},
  "pod", "$1", {{ .pod | default "exported_pod" | quote }}, {{ ternary "(.*)" "(.+)" (ne .pod "") | quote }}),
  "namespace", "$1", {{ .namespace | default "exported_namespace" | quote }}, {{ ternary "(.*)" "(.+)" (ne .namespace "") | quote }})
{{- end }}

{{/*
The mean of a gauge over a time, of what is still there: what has ended is not counted to the end of that time.
Input: [series, window].
*/}}
{{- define "pantala.mean" -}}
(avg_over_time({{ index . 0 }}[{{ index . 1 }}]) and {{ index . 0 }})
{{- end }}

{{/* The same for a counter: what it grows by in a second. */}}
{{- define "pantala.rate" -}}
(rate({{ index . 0 }}[{{ index . 1 }}]) and {{ index . 0 }})
{{- end }}

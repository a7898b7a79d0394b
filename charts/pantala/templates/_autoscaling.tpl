{{/*
A vector of PromQL with the labels `pantala_pod` and `pantala_namespace` of the workload, out of those that the exporter gave
it. Input: {vector, pod, namespace}. With an empty label it is that which Prometheus made of the exporter's own where a label
of the target had its name already (`honor_labels: false`), or else the exporter's own. What names no pod has none then.

They are labels that nothing else has, so that series which differ in labels of the target alone (those of an exporter's pod
and of its predecessor) stay different: equal ones are an error that ends the rule for the whole cluster.
*/}}
{{- define "pantala.ofWorkload" -}}
{{- $vector := .vector }}
{{- range list (list "pantala_pod" .pod "pod") (list "pantala_namespace" .namespace "namespace") }}
{{- $name := first . }}
{{- range ternary (list (index . 1)) (list (index . 2) (printf "exported_%s" (index . 2))) (ne (index . 1) "") }}
{{- $vector = printf "label_replace(\n%s,\n  %q, \"$1\", %q, \"(.+)\")" ($vector | indent 2) $name . }}
{{- end }}
{{- end }}
{{- $vector }}
{{- end }}

{{/* The end of an expression that begins with two `label_replace(`: those labels under the names that recorded series have. */}}
{{- define "pantala.asRecorded" -}}
"pod", "$1", "pantala_pod", "(.+)"), "namespace", "$1", "pantala_namespace", "(.+)")
{{- end }}

{{/* The targets by those labels. What an exporter tells in the name of its own pod is about a card that nobody has. */}}
{{- define "pantala.exporters" -}}
label_replace(label_replace(up, "pantala_pod", "$1", "pod", "(.+)"), "pantala_namespace", "$1", "namespace", "(.+)")
{{- end }}

{{/*
Requests per second by some labels. Of two scrapes of one proxy (two jobs, or the ports 15020 and 15090) the larger counts;
without a label `pod` nobody knows what is scraped twice. Input: [series, matchers, window, labels].
*/}}
{{- define "pantala.requestsBy" -}}
{{- $by := index . 3 }}
{{- $beside := printf "%s{%s,pod!=\"\"}" (index . 0) (index . 1) }}
{{- $alone := printf "%s{%s,pod=\"\"}" (index . 0) (index . 1) -}}
sum by ({{ $by }}) (
  max by ({{ $by }}, namespace, pod) (sum by ({{ $by }}, namespace, pod, job, instance) (
    {{ include "pantala.rate" (list $beside (index . 2)) }}
  ))
  or sum by ({{ $by }}, job, instance) (
    {{ include "pantala.rate" (list $alone (index . 2)) }}
  )
)
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

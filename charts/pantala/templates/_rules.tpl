{{/*
What the operator does to the API server, and nothing else: tests/e2e/test_chart.py holds these rules against the audit log.
Nothing on Secrets: the pods of a model mount them, and a missing one is read off the pod.
*/}}
{{- define "pantala.rules" -}}
- apiGroups: [pantala.dev]
  resources: [inferencemodels]
  verbs: [list, watch]
- apiGroups: [pantala.dev]
  resources: [inferencemodels/status]
  verbs: [patch]
{{- if .Values.rbac.ownerReferencesPermissionEnforcement }}
- apiGroups: [pantala.dev]
  resources: [inferencemodels/finalizers]
  verbs: [update]
{{- end }}
# Children are written by server-side apply: `patch`, and `create` where the object is new. `get` tells, when the name
# of a new child is taken, by whom.
- apiGroups: [""]
  resources: [configmaps, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
# What pods need that get cards by DynamicResourceAllocation, where the cluster has it.
- apiGroups: [resource.k8s.io]
  resources: [resourceclaimtemplates]
  verbs: [get, list, watch, create, patch, delete]
# The routes of a mesh, where the cluster has one; a rule for a kind that is not there grants nothing.
- apiGroups: [networking.istio.io]
  resources: [virtualservices, destinationrules, envoyfilters]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [security.istio.io]
  resources: [authorizationpolicies, requestauthentications]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# KEDA's autoscalers, and what tells the Prometheus Operator of a model, where the cluster has them.
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors]
  verbs: [get, list, watch, create, patch, delete]
{{- if not .Values.watchNamespaces }}
# Whether the gateway that a model names is there: it is in another namespace, so this needs a ClusterRole.
- apiGroups: [networking.istio.io, gateway.networking.k8s.io]
  resources: [gateways]
  verbs: [list, watch]
{{- if .Values.accelerators.watchNodes }}
# Which nodes have cards, for models that wait for some: their labels, taints and extended resources.
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end }}
{{- end }}
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* The reference of the image: <repository>[:<tag>][@<digest>]. */}}
{{- define "bridgehead.image" -}}
{{ .Values.image.repository }}
{{- with .Values.image.tag }}:{{ . }}{{ end }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

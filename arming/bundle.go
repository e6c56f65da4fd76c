// SPDX-License-Identifier: Apache-2.0

package arming

import (
	"encoding/base64"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// bundleOf returns the caBundle of a webhook; nil if it has none that can be read.
func bundleOf(hook map[string]any) []byte {
	text, _, err := unstructured.NestedString(hook, "clientConfig", "caBundle")
	if err != nil {
		return nil
	}
	bundle, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return bundle
}

// setBundle gives a webhook a caBundle.
func setBundle(hook map[string]any, bundle []byte) {
	config, ok := hook["clientConfig"].(map[string]any)
	if !ok {
		config = map[string]any{}
		hook["clientConfig"] = config
	}
	config["caBundle"] = base64.StdEncoding.EncodeToString(bundle)
}

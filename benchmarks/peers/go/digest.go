package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// digest is the identity part of benchmarks.harness.digest. It does not depend on the order of the objects.
type digest struct {
	count    int
	identity [sha256.Size]byte
	text     bytes.Buffer
}

func (d *digest) add(key string, object metav1.Object) {
	d.text.Reset()
	for _, line := range []string{key, string(object.GetUID()), object.GetResourceVersion()} {
		d.text.WriteString(line + "\n")
	}
	labels := object.GetLabels()
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		d.text.WriteString(name + "=" + labels[name] + "\n")
	}
	sum := sha256.Sum256(d.text.Bytes())
	subtle.XORBytes(d.identity[:], d.identity[:], sum[:])
	d.count++
}

func (d *digest) result() map[string]any {
	return map[string]any{"objects": d.count, "identity": hex.EncodeToString(d.identity[:])}
}

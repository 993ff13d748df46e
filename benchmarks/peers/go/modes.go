package main

import (
	"fmt"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/features"
)

const defaultMode = "watchlist"

// mode is the setup of an informer. Each field is a choice that the author of a controller has.
type mode struct {
	streams    bool // the initial state comes as a stream of events (WatchList), client-go's default
	transform  bool // managedFields are cleared before an object is stored
	paged      bool // every list comes in pages of 500 objects, not only the first one
	metadata   bool // metadata only is requested and stored
	controller bool // a work queue and workers instead of a handler
	protobuf   bool // instead of JSON; only a real kube-apiserver supports it
}

var modes = map[string]mode{
	"watchlist":  {streams: true, transform: true},
	"plain":      {streams: true},
	"paged":      {transform: true, paged: true},
	"list":       {transform: true},
	"metadata":   {streams: true, transform: true, metadata: true},
	"controller": {streams: true, transform: true, controller: true},
	"protobuf":   {streams: true, transform: true, protobuf: true},
}

func modeOf(name string) (mode, error) {
	if name == "" {
		name = defaultMode
	}
	found, ok := modes[name]
	if !ok {
		return mode{}, fmt.Errorf("%q is not a mode", name)
	}
	return found, nil
}

// setGate disables WatchList if the mode says so, as a user does. It checks the gate afterwards, because the
// environment may override it and client-go reads it only once.
func (m mode) setGate() error {
	if !m.streams {
		if err := os.Setenv("KUBE_FEATURE_"+string(features.WatchListClient), "false"); err != nil {
			return err
		}
	}
	if on := features.FeatureGates().Enabled(features.WatchListClient); on != m.streams {
		return fmt.Errorf("%s is %t: expected %t", features.WatchListClient, on, m.streams)
	}
	return nil
}

// requestPages makes the server respect the limit that client-go's pager sets: client-go requests the first list at
// resourceVersion 0, where a kube-apiserver ignores the limit.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list
func requestPages(options *metav1.ListOptions) {
	if options.Limit > 0 {
		options.ResourceVersion = ""
	}
}

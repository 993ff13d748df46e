package main

import (
	"fmt"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/features"
)

const defaultMode = "watchlist"

// mode is how an informer is set up. Each field is one thing that a controller's author may choose.
type mode struct {
	streams   bool // the first state comes as a stream of events (WatchList), which is the default of client-go
	transform bool // managedFields are cleared before an object is kept
	paged     bool // lists come in pages of 500 objects, all lists, not only the first one
	metadata  bool // metadata alone is asked for and kept
	protobuf  bool // no JSON; only a real kube-apiserver speaks it
}

var modes = map[string]mode{
	"watchlist": {streams: true, transform: true},
	"plain":     {streams: true},
	"paged":     {transform: true, paged: true},
	"list":      {transform: true},
	"metadata":  {streams: true, transform: true, metadata: true},
	"protobuf":  {streams: true, transform: true, protobuf: true},
}

func modeOf(name string) (mode, error) {
	if name == "" {
		name = defaultMode
	}
	found, ok := modes[name]
	if !ok {
		return mode{}, fmt.Errorf("no such mode: %s", name)
	}
	return found, nil
}

// setGate turns WatchList off where the mode says so, the way a user does; what the gate says then is checked, as the
// environment may say something else, and is read by client-go only once.
func (m mode) setGate() error {
	if !m.streams {
		if err := os.Setenv("KUBE_FEATURE_"+string(features.WatchListClient), "false"); err != nil {
			return err
		}
	}
	if on := features.FeatureGates().Enabled(features.WatchListClient); on != m.streams {
		return fmt.Errorf("%s is %t, and should be %t", features.WatchListClient, on, m.streams)
	}
	return nil
}

// askForPages has the limit respected that client-go's pager sets: the first list is asked for at resourceVersion 0,
// where a kube-apiserver ignores it.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list
func askForPages(options *metav1.ListOptions) {
	if options.Limit > 0 {
		options.ResourceVersion = ""
	}
}

package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/cache"
)

// handled is what a controller's handler would put into a queue: a key; and what was seen so far.
//
// Versions are compared as numbers, as client-go does itself: nothing is kept of each one.
type handled struct {
	mutex   sync.Mutex
	count   int
	newest  uint64
	key     string
	awaited uint64
	arrived chan struct{} // nil: nobody waits
}

func (h *handled) funcs() cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(found any) { h.note(found) },
		UpdateFunc: func(_, found any) { h.note(found) },
		DeleteFunc: func(found any) {
			// What went unseen, while nothing was watched, comes as it was last known.
			if gone, ok := found.(cache.DeletedFinalStateUnknown); ok {
				found = gone.Obj
			}
			h.note(found)
		},
	}
}

func (h *handled) note(found any) {
	key, err := cache.MetaNamespaceKeyFunc(found)
	if err != nil {
		panic(err)
	}
	object, err := meta.Accessor(found)
	if err != nil {
		panic(err)
	}
	version, err := parseVersion(object.GetResourceVersion())
	if err != nil {
		panic(err)
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.key = key
	h.count++
	h.newest = max(h.newest, version)
	// Once, not for each event: being woken takes time that is no informer's.
	if h.arrived != nil && h.newest >= h.awaited {
		close(h.arrived)
		h.arrived = nil
	}
}

// reach returns, once this version or a newer one was noted, how many were in all.
func (h *handled) reach(ctx context.Context, text string) (int, error) {
	version, err := parseVersion(text)
	if err != nil {
		return 0, err
	}
	select {
	case <-h.await(version):
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.count, nil
}

func (h *handled) await(version uint64) <-chan struct{} {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	arrived := make(chan struct{})
	if h.newest >= version {
		close(arrived)
	} else {
		h.awaited, h.arrived = version, arrived
	}
	return arrived
}

func parseVersion(text string) (uint64, error) {
	version, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("not a resourceVersion: %q", text)
	}
	return version, nil
}

package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/cache"
)

// handler computes the key of each object, as a controller's handler does, and counts the calls.
//
// It compares versions as numbers, as client-go does, so that it keeps nothing for each object.
type handler struct {
	mutex   sync.Mutex
	count   int
	newest  uint64
	key     string
	awaited uint64
	arrived chan struct{} // nil while no command waits
}

func (h *handler) funcs() cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(found any) { h.handle(found) },
		UpdateFunc: func(_, found any) { h.handle(found) },
		DeleteFunc: func(found any) {
			// An object that was deleted while nothing was watched comes in its last known state.
			if gone, ok := found.(cache.DeletedFinalStateUnknown); ok {
				found = gone.Obj
			}
			h.handle(found)
		},
	}
}

func (h *handler) handle(found any) {
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
	// Once, not for each event: waking the waiting goroutine would add to the measured CPU time.
	if h.arrived != nil && h.newest >= h.awaited {
		close(h.arrived)
		h.arrived = nil
	}
}

// reach waits for an object of this version or a newer one, and returns the number of calls so far.
func (h *handler) reach(ctx context.Context, text string) (int, error) {
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

func (h *handler) await(version uint64) <-chan struct{} {
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
		return 0, fmt.Errorf("%q is not a resourceVersion", text)
	}
	return version, nil
}

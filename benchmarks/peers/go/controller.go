package main

import (
	"context"
	"errors"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

const workers = 4

// controller reconciles objects by their keys, as a controller on client-go does. A reconcile looks its object up in
// the store, and changes nothing.
type controller struct {
	queue   workqueue.TypedRateLimitingInterface[string]
	store   cache.Indexer
	mutex   sync.Mutex
	count   int
	seen    map[string]string // the resourceVersion of each object at its last reconcile
	awaited int
	arrived chan struct{} // nil while no command waits
}

func newController(informer cache.SharedIndexInformer) (*controller, error) {
	limiter := workqueue.DefaultTypedControllerRateLimiter[string]()
	c := &controller{
		queue: workqueue.NewTypedRateLimitingQueue(limiter),
		store: informer.GetIndexer(),
		seen:  map[string]string{},
	}
	add := func(found any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(found); err == nil {
			c.queue.Add(key)
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    add,
		UpdateFunc: func(_, found any) { add(found) },
		DeleteFunc: add,
	})
	return c, err
}

// start starts the workers. They end with the process.
func (c *controller) start() {
	for range workers {
		go func() {
			for c.next() {
			}
		}()
	}
}

func (c *controller) next() bool {
	key, shutdown := c.queue.Get()
	if shutdown {
		return false
	}
	defer c.queue.Done(key)
	if err := c.reconcile(key); err != nil {
		c.queue.AddRateLimited(key)
	} else {
		c.queue.Forget(key)
	}
	return true
}

func (c *controller) reconcile(key string) error {
	found, exists, err := c.store.GetByKey(key)
	if err != nil {
		return err
	}
	version := ""
	if exists {
		object, err := meta.Accessor(found)
		if err != nil {
			return err
		}
		version = object.GetResourceVersion()
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.seen[key] = version
	c.count++
	if c.arrived != nil && c.count >= c.awaited {
		close(c.arrived)
		c.arrived = nil
	}
	return nil
}

// settle waits for a number of reconciles since the start, and returns their number so far.
func (c *controller) settle(ctx context.Context, count int) (int, error) {
	limited, cancel := context.WithTimeoutCause(ctx, timeout, errTooLong)
	defer cancel()
	select {
	case <-c.await(count):
	case <-limited.Done():
		return 0, context.Cause(limited)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.count, nil
}

func (c *controller) await(count int) <-chan struct{} {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	arrived := make(chan struct{})
	if c.count >= count {
		close(arrived)
	} else {
		c.awaited, c.arrived = count, arrived
	}
	return arrived
}

// requeue adds the keys of all objects.
func (c *controller) requeue() {
	for _, key := range c.store.ListKeys() {
		c.queue.Add(key)
	}
}

func (p *peer) doController(ctx context.Context, next command) (any, error) {
	if p.controller == nil {
		return nil, errors.New("connect in mode controller comes before")
	}
	switch next.Do {
	case "start":
		go p.informer.RunWithContext(ctx)
		if !cache.WaitFor(ctx, "", p.informer.HasSyncedChecker()) {
			return nil, context.Cause(ctx)
		}
		p.controller.start()
		return nil, nil
	case "settle":
		return p.controller.settle(ctx, next.With.Count)
	case "requeue":
		p.controller.requeue()
		return nil, nil
	}
	p.controller.mutex.Lock()
	defer p.controller.mutex.Unlock()
	return p.controller.seen, nil
}

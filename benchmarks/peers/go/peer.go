package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// timeout limits each command: if the server cannot be reached, client-go retries silently without end.
const timeout = 5 * time.Minute

var errTooLong = fmt.Errorf("not done within %s", timeout)

// peer is one informer on all namespaces with its handler.
type peer struct {
	config     *rest.Config
	resource   schema.GroupVersionResource
	mode       mode
	informer   cache.SharedIndexInformer
	handler    handler
	controller *controller // in mode controller only
	started    bool
}

func newPeer(given options) (*peer, error) {
	mode, err := modeOf(given.Mode)
	if err != nil {
		return nil, err
	}
	resource, err := parseResource(given.Resource)
	if err != nil {
		return nil, err
	}
	config := &rest.Config{
		Host:            given.URL,
		BearerToken:     given.Token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: given.CA},
	}
	if mode.protobuf {
		config.ContentType = runtime.ContentTypeProtobuf
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return protobufOnly{next} })
	}
	return &peer{config: config, resource: resource, mode: mode}, mode.setGate()
}

// parseResource accepts "v1/pods" or "apps/v1/deployments".
func parseResource(text string) (schema.GroupVersionResource, error) {
	switch parts := strings.Split(text, "/"); len(parts) {
	case 2:
		return schema.GroupVersionResource{Version: parts[0], Resource: parts[1]}, nil
	case 3:
		return schema.GroupVersionResource{Group: parts[0], Version: parts[1], Resource: parts[2]}, nil
	}
	return schema.GroupVersionResource{}, fmt.Errorf("%q is not a resource: expected \"v1/pods\" or \"apps/v1/deployments\"", text)
}

// connect creates the client and the informer, which does nothing yet.
func (p *peer) connect() error {
	generic, err := p.newInformer()
	if err != nil {
		return err
	}
	p.informer = generic.Informer()
	if p.mode.controller {
		p.controller, err = newController(p.informer)
		return err
	}
	_, err = p.informer.AddEventHandler(p.handler.funcs())
	return err
}

func (p *peer) newInformer() (informers.GenericInformer, error) {
	if p.mode.metadata {
		client, err := metadata.NewForConfig(p.config)
		if err != nil {
			return nil, err
		}
		var options []metadatainformer.SharedInformerOption
		if p.mode.transform {
			options = append(options, metadatainformer.WithTransform(clearManagedFields))
		}
		return metadatainformer.NewSharedInformerFactoryWithOptions(client, 0, options...).ForResource(p.resource), nil
	}
	client, err := kubernetes.NewForConfig(p.config)
	if err != nil {
		return nil, err
	}
	var options []informers.SharedInformerOption
	if p.mode.transform {
		options = append(options, informers.WithTransform(clearManagedFields))
	}
	if p.mode.paged {
		options = append(options, informers.WithTweakListOptions(requestPages))
	}
	return informers.NewSharedInformerFactoryWithOptions(client, 0, options...).ForResource(p.resource)
}

func clearManagedFields(found any) (any, error) {
	if object, err := meta.Accessor(found); err == nil {
		object.SetManagedFields(nil)
	}
	return found, nil
}

// sync starts the informer, and returns when its initial state is complete.
func (p *peer) sync(ctx context.Context) error {
	if p.informer == nil || p.started {
		return errors.New("sync comes once, after connect")
	}
	p.started = true
	go p.informer.RunWithContext(ctx)
	limited, cancel := context.WithTimeoutCause(ctx, timeout, errTooLong)
	defer cancel()
	if !cache.WaitFor(limited, "", p.informer.HasSyncedChecker()) {
		return context.Cause(limited)
	}
	return nil
}

// reach waits until the handler was called for an object of this version, and returns the number of calls so far.
func (p *peer) reach(ctx context.Context, version string) (int, error) {
	if !p.started {
		return 0, errors.New("sync comes before reach")
	}
	limited, cancel := context.WithTimeoutCause(ctx, timeout, errTooLong)
	defer cancel()
	return p.handler.reach(limited, version)
}

// digest goes through the whole store of the informer.
func (p *peer) digest() (any, error) {
	if p.informer == nil {
		return nil, errors.New("connect comes before digest")
	}
	store := p.informer.GetIndexer()
	var sum digest
	for _, key := range store.ListKeys() {
		found, exists, err := store.GetByKey(key)
		if err != nil {
			return nil, err
		}
		if !exists {
			continue
		}
		object, err := meta.Accessor(found)
		if err != nil {
			return nil, err
		}
		sum.add(key, object)
	}
	return sum.result(), nil
}

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

// patience is for any one order: of a server that is not there client-go says nothing, and tries again for ever.
const patience = 5 * time.Minute

var errTooLong = fmt.Errorf("not done within %s", patience)

// subject is one informer on all namespaces, and the handler that it calls.
type subject struct {
	config   *rest.Config
	resource schema.GroupVersionResource
	mode     mode
	informer cache.SharedIndexInformer
	handled  handled
	started  bool
}

func newSubject(chosen options) (*subject, error) {
	mode, err := modeOf(chosen.Mode)
	if err != nil {
		return nil, err
	}
	resource, err := parseResource(chosen.Resource)
	if err != nil {
		return nil, err
	}
	config := &rest.Config{
		Host:            chosen.URL,
		BearerToken:     chosen.Token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: chosen.CA},
	}
	if mode.protobuf {
		config.ContentType = runtime.ContentTypeProtobuf
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return protobufOnly{next} })
	}
	return &subject{config: config, resource: resource, mode: mode}, mode.setGate()
}

// parseResource takes "v1/pods" or "apps/v1/deployments".
func parseResource(text string) (schema.GroupVersionResource, error) {
	switch parts := strings.Split(text, "/"); len(parts) {
	case 2:
		return schema.GroupVersionResource{Version: parts[0], Resource: parts[1]}, nil
	case 3:
		return schema.GroupVersionResource{Group: parts[0], Version: parts[1], Resource: parts[2]}, nil
	}
	return schema.GroupVersionResource{}, fmt.Errorf("not a resource: %q", text)
}

// connect makes the client and the informer, which does nothing yet.
func (s *subject) connect() error {
	made, err := s.newInformer()
	if err != nil {
		return err
	}
	s.informer = made.Informer()
	_, err = s.informer.AddEventHandler(s.handled.funcs())
	return err
}

func (s *subject) newInformer() (informers.GenericInformer, error) {
	if s.mode.metadata {
		client, err := metadata.NewForConfig(s.config)
		if err != nil {
			return nil, err
		}
		var set []metadatainformer.SharedInformerOption
		if s.mode.transform {
			set = append(set, metadatainformer.WithTransform(clearManagedFields))
		}
		return metadatainformer.NewSharedInformerFactoryWithOptions(client, 0, set...).ForResource(s.resource), nil
	}
	client, err := kubernetes.NewForConfig(s.config)
	if err != nil {
		return nil, err
	}
	var set []informers.SharedInformerOption
	if s.mode.transform {
		set = append(set, informers.WithTransform(clearManagedFields))
	}
	if s.mode.paged {
		set = append(set, informers.WithTweakListOptions(askForPages))
	}
	return informers.NewSharedInformerFactoryWithOptions(client, 0, set...).ForResource(s.resource)
}

func clearManagedFields(found any) (any, error) {
	if object, err := meta.Accessor(found); err == nil {
		object.SetManagedFields(nil)
	}
	return found, nil
}

// sync starts the informer, and returns when its first state is complete.
func (s *subject) sync(ctx context.Context) error {
	if s.informer == nil || s.started {
		return errors.New("it is the order after connect, once")
	}
	s.started = true
	go s.informer.RunWithContext(ctx)
	limited, cancel := context.WithTimeoutCause(ctx, patience, errTooLong)
	defer cancel()
	if !cache.WaitFor(limited, "", s.informer.HasSyncedChecker()) {
		return context.Cause(limited)
	}
	return nil
}

// reach returns, once the handler was called for an object of this version, how often it was called in all.
func (s *subject) reach(ctx context.Context, version string) (int, error) {
	if !s.started {
		return 0, errors.New("nothing was synced")
	}
	limited, cancel := context.WithTimeoutCause(ctx, patience, errTooLong)
	defer cancel()
	return s.handled.reach(limited, version)
}

// digest goes through all that the informer holds.
func (s *subject) digest() (any, error) {
	if s.informer == nil {
		return nil, errors.New("nothing is connected")
	}
	store := s.informer.GetIndexer()
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

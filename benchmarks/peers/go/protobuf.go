package main

import (
	"fmt"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
)

// protobufOnly refuses other formats: client-go also reads JSON, and the wrong format would be measured.
type protobufOnly struct{ next http.RoundTripper }

func (p protobufOnly) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := p.next.RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	if found := response.Header.Get("Content-Type"); !strings.HasPrefix(found, runtime.ContentTypeProtobuf) {
		response.Body.Close()
		return nil, fmt.Errorf("the server responds in %s", found)
	}
	return response, nil
}

package main

import (
	"fmt"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
)

// protobufOnly refuses what is no protobuf: client-go reads JSON as well, and the wrong thing would be measured.
type protobufOnly struct{ next http.RoundTripper }

func (p protobufOnly) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := p.next.RoundTrip(request)
	if err != nil || answer.StatusCode != http.StatusOK {
		return answer, err
	}
	if found := answer.Header.Get("Content-Type"); !strings.HasPrefix(found, runtime.ContentTypeProtobuf) {
		answer.Body.Close()
		return nil, fmt.Errorf("the server answers in %s", found)
	}
	return answer, nil
}

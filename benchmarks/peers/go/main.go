// Command client-go is an informer of client-go in a process of its own that obeys the orders of benchmarks/peers.
//
// It measures nothing; whoever started it looks from outside.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
)

const library = "k8s.io/client-go"

type options struct {
	URL      string `json:"url"`
	Resource string `json:"resource"`
	Mode     string `json:"mode"`
	CA       string `json:"ca"`
	Token    string `json:"token"`
}

type order struct {
	Do   string `json:"do"`
	With struct {
		Version json.Number `json:"version"`
	} `json:"with"`
}

func main() {
	if err := obey(); err != nil {
		fmt.Fprintln(os.Stderr, "client-go:", err)
		os.Exit(1)
	}
}

// obey carries out one order after another until standard input ends.
func obey() error {
	if len(os.Args) != 2 {
		return errors.New("takes one argument, a JSON object")
	}
	var chosen options
	if err := json.Unmarshal([]byte(os.Args[1]), &chosen); err != nil {
		return fmt.Errorf("cannot read the options: %w", err)
	}
	subject, err := newSubject(chosen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	orders, answers := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for orders.Scan() {
		var next order
		if err := json.Unmarshal(orders.Bytes(), &next); err != nil {
			return fmt.Errorf("cannot read an order: %w", err)
		}
		answer, err := subject.do(ctx, next)
		if err != nil {
			return fmt.Errorf("cannot %s: %w", next.Do, err)
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
	return orders.Err()
}

func (s *subject) do(ctx context.Context, next order) (any, error) {
	switch next.Do {
	case "connect":
		return nil, s.connect()
	case "sync":
		return nil, s.sync(ctx)
	case "reach":
		return s.reach(ctx, next.With.Version.String())
	case "digest":
		return s.digest()
	case "versions":
		return versions(), nil
	}
	return map[string]string{"error": "no such order: " + next.Do}, nil
}

func versions() map[string]string {
	found := map[string]string{"go": runtime.Version()}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == library {
				found["client-go"] = module.Version
			}
		}
	}
	return found
}

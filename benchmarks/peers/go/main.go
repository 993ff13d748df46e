// Command client-go is an informer of client-go in its own process. It reads the commands of benchmarks/peers.
//
// It measures nothing itself: its process is read from outside.
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

type command struct {
	Do   string `json:"do"`
	With struct {
		Version json.Number `json:"version"`
		Count   int         `json:"count"`
	} `json:"with"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "client-go:", err)
		os.Exit(1)
	}
}

// run carries out one command after another until standard input ends.
func run() error {
	if len(os.Args) != 2 {
		return errors.New("expected one argument, a JSON object")
	}
	var given options
	if err := json.Unmarshal([]byte(os.Args[1]), &given); err != nil {
		return fmt.Errorf("cannot read the options: %w", err)
	}
	peer, err := newPeer(given)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	commands, answers := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for commands.Scan() {
		var next command
		if err := json.Unmarshal(commands.Bytes(), &next); err != nil {
			return fmt.Errorf("cannot read a command: %w", err)
		}
		answer, err := peer.do(ctx, next)
		if err != nil {
			return fmt.Errorf("cannot %s: %w", next.Do, err)
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
	return commands.Err()
}

func (p *peer) do(ctx context.Context, next command) (any, error) {
	switch next.Do {
	case "connect":
		return nil, p.connect()
	case "sync":
		return nil, p.sync(ctx)
	case "reach":
		return p.reach(ctx, next.With.Version.String())
	case "digest":
		return p.digest()
	case "start", "settle", "requeue", "seen":
		return p.doController(ctx, next)
	case "versions":
		return versions(), nil
	}
	return map[string]string{"error": next.Do + " is not a command"}, nil
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

package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"strings"

	"github.com/crowbarkit/crowbarkit/hardware/redfish"
)

// hpeTree is a vendor's own simulator of a server, as files; it is not part of this repository.
const hpeTree = "../../../shared/data/redfish/hpe-ilo-gen11-sim"

// tree serves a Redfish service that was stored as redfish/v1/…/index.json. Only sessions can be
// made and ended.
type tree struct {
	files  fs.FS
	expand bool // collections bring their members where $expand asks for it, as iLO does
}

func (t tree) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch r.Method {
	case http.MethodPost:
		w.Header().Set("X-Auth-Token", "token")
		w.Header().Set("Location", "/redfish/v1/SessionService/Sessions/1")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"@odata.id":"/redfish/v1/SessionService/Sessions/1","Id":"1"}`)
		return
	case http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
		return
	}
	body, err := t.read(r.URL.Path)
	if err == nil && t.expand && r.URL.Query().Has("$expand") {
		body, err = t.withMembers(body)
	}
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		body = []byte(`{"error":{"code":"Base.1.18.ResourceMissingAtURI","message":"it is not there"}}`)
	}
	_, _ = w.Write(body)
}

func (t tree) read(uri string) ([]byte, error) {
	return fs.ReadFile(t.files, strings.TrimPrefix(path.Join(path.Clean(uri), "index.json"), "/"))
}

func (t tree) withMembers(collection []byte) ([]byte, error) {
	var whole map[string]json.RawMessage
	var members []struct {
		ID string `json:"@odata.id"`
	}
	if err := json.Unmarshal(collection, &whole); err != nil {
		return nil, err
	}
	if whole["Members"] == nil || json.Unmarshal(whole["Members"], &members) != nil {
		return collection, nil
	}
	all := make([]json.RawMessage, len(members))
	for i, m := range members {
		var err error
		if all[i], err = t.read(m.ID); err != nil {
			all[i] = fmt.Appendf(nil, `{"@odata.id":%q}`, m.ID)
		}
	}
	var err error
	if whole["Members"], err = json.Marshal(all); err != nil {
		return nil, err
	}
	return json.Marshal(whole)
}

// reader reads the inventory of one BMC and says how much that is.
type reader struct {
	name string
	read func(ctx context.Context, url string) (facts string, err error)
}

// readers read what they are made for. Ours: system with summaries of processors and memory, BMC,
// tasks, BIOS attributes with registry and what pends, storage with drives and volumes, network
// ports, boot options, secure boot. Bmclib: system, chassis, processors, memory modules, storage,
// network cards, power supplies, TPM, firmware of all, BMC; no BIOS settings. Sushy: see its script.
func readers() []reader {
	return []reader{
		{"ours", observe},
		{"bmclib", func(ctx context.Context, service string) (string, error) {
			u, err := url.Parse(service)
			if err != nil {
				return "", err
			}
			host, port, err := net.SplitHostPort(u.Host)
			if err != nil {
				return "", err
			}
			command := exec.CommandContext(ctx, "go", "run", ".", "https://"+host, port, bmcUser, bmcPassword)
			command.Dir = "bmclib"
			return said(command)
		}},
		{"sushy", func(ctx context.Context, service string) (string, error) {
			// Debian's, which sees the package python3-sushy.
			return said(exec.CommandContext(ctx, "/usr/bin/python3", "-c", sushyScript, service, bmcUser, bmcPassword))
		}},
	}
}

//go:embed hardware_sushy.py
var sushyScript string

// said is what a command prints; where it fails, the last it complains of.
func said(c *exec.Cmd) (string, error) {
	out, err := c.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		lines := strings.Split(strings.TrimSpace(string(failed.Stderr)), "\n")
		err = fmt.Errorf("%w: %s", err, lines[len(lines)-1])
	}
	return strings.TrimSpace(string(out)), err
}

func observe(ctx context.Context, service string) (string, error) {
	c, err := redfish.New(redfish.Config{Pins: &redfish.MemoryPins{}})
	if err != nil {
		return "", err
	}
	seen, err := c.Observe(ctx, bmcTarget("node", service))
	if err := errors.Join(err, c.Close(ctx)); err != nil {
		return "", err
	}
	drives, volumes, registry := 0, 0, 0
	for _, controller := range seen.Storage {
		drives, volumes = drives+len(controller.Drives), volumes+len(controller.Volumes)
	}
	if seen.BIOS.Registry != nil {
		registry = len(seen.BIOS.Registry.Attributes)
	}
	return fmt.Sprintf("%d storage controllers, %d drives, %d volumes, %d network ports, %d BIOS attributes, registry of %d, %d boot options; not read: %d resources",
		len(seen.Storage), drives, volumes, len(seen.Interfaces), len(seen.BIOS.Attributes), registry, len(seen.Boot.Options), len(seen.Unreadable)), nil
}

// inventoryOf prints how many requests and bytes each reader takes, logging in and out included.
func inventoryOf(w io.Writer, name string, t tree, all []reader) error {
	type cost struct{ requests, bytes float64 }
	var ours cost
	for i, r := range all {
		var servers bmcServers
		service, err := servers.serve(t)
		if err != nil {
			return errors.Join(err, servers.Close())
		}
		facts, err := r.read(context.Background(), service)
		c := cost{float64(servers.requests.Load()), float64(servers.bytes.Load()) / 1e3}
		if closed := servers.Close(); closed != nil {
			return closed
		}
		switch {
		case err != nil && i == 0:
			return err
		case err != nil:
			fmt.Fprintf(w, "bench: %s: %s left out: %v\n", name, r.name, err)
			continue
		case i == 0:
			ours = c
		default:
			fmt.Fprintf(w, "bench: %s requests ours=%.0f %s=%.0f ratio=%.2f\n", name, ours.requests, r.name, c.requests, c.requests/ours.requests)
			fmt.Fprintf(w, "bench: %s bytes ours=%.0fKB %s=%.0fKB ratio=%.2f\n", name, ours.bytes, r.name, c.bytes, c.bytes/ours.bytes)
		}
		fmt.Fprintf(w, "bench: %s %s: %s\n", name, r.name, facts)
	}
	return nil
}

// inventoryComparisons read a real service's inventory, once where it expands collections on
// demand and once where it does not.
func inventoryComparisons(notes io.Writer) []comparison {
	if _, err := os.Stat(hpeTree); err != nil {
		fmt.Fprintln(notes, "bench: redfish-inventory left out:", err)
		return nil
	}
	var all []comparison
	for _, v := range []struct {
		name   string
		expand bool
	}{{"redfish-inventory", false}, {"redfish-inventory-expand", true}} {
		all = append(all, comparison{name: v.name, more: func(w io.Writer) error {
			return inventoryOf(w, v.name, tree{os.DirFS(hpeTree), v.expand}, readers())
		}})
	}
	return all
}

package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// formatVersion of the files in Config.Dir.
const formatVersion = 1

// record is everything about a machine that outlives the process, in one file: the hardware
// and what runs on it never disagree.
type record struct {
	Version  int              `json:"version"`
	Serial   string           `json:"serial"`
	NoBMC    bool             `json:"no_bmc,omitempty"`
	Hardware redfishsim.State `json:"hardware"`
	// Ticket of the latest network boot, the only one that is good. The image that got it
	// leaves it to the system on the disk.
	Ticket    ticket     `json:"ticket,omitzero"`
	Running   *running   `json:"running,omitempty"`
	Installed *installed `json:"installed,omitempty"`
}

// running is what the machine booted. It runs for as long as the power stays on and no other
// POST has finished; so nothing has to be written when it is cut off.
type running struct {
	Boots int    `json:"boots"`        // Hardware.Boots while it runs
	Image string `json:"image"`        // crowbar.state of the kernel's command line, or imageDisk
	OS    string `json:"os,omitempty"` // crowbar.os: what the installer is to install
	// Up says that the installed system has reported that it runs.
	Up bool `json:"up,omitempty"`
	// Tries counts how often the installed system asked to be readied again.
	Tries int `json:"tries,omitempty"`
	// Asked is the visit in which the installed system asked to be readied, kept before the
	// request leaves: a later visit means that it was heard.
	Asked int64 `json:"asked,omitempty"`
}

// imageDisk stands for the system on the boot disk.
const imageDisk = "disk"

// ticket lets a boot speak for its node.
type ticket struct {
	Node     string `json:"node"`
	Boot     int    `json:"boot_epoch"`
	Token    string `json:"token"`
	Sequence int    `json:"sequence"` // of the last report
}

// installed is the operating system, as far as it is not the contents of the disk.
type installed struct {
	Contents string `json:"contents"` // of the boot disk; if it holds anything else, the system is gone
	Complete bool   `json:"complete"`
	Booted   bool   `json:"booted"` // it has been up once
	Roles    []Role `json:"roles,omitempty"`
}

// Role is a role that the jig has applied to a machine's system.
type Role struct {
	Proposal proposal.Key `json:"proposal"`
	Role     string       `json:"role"`
	Revision int          `json:"revision"`
}

// siteFile says which machines a directory holds.
const siteFile = "site.json"

type siteRecord struct {
	Version int    `json:"version"`
	Nodes   int    `json:"nodes"`
	Seed    uint64 `json:"seed"`
}

// load decodes a file; false if there is none.
func load(path string, into any) (bool, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return false, fmt.Errorf("sim: %s, which keeps a simulated machine, cannot be read; restore it, or begin anew with another directory: %w", path, err)
	}
	return true, nil
}

// store replaces a file in one step.
func store(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("sim: %s: %w", filepath.Base(path), err)
	}
	next := path + ".new"
	if err = os.WriteFile(next, data, 0o600); err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return fmt.Errorf("sim: %w", err)
	}
	return nil
}

//go:build ceph && cgo

package main

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// python is Debian's, which sees Debian's packages.
const python = "/usr/bin/python3"

//go:embed cinder_rbd.py
var cinderScript string

// cinderInstalled returns what is missing.
func cinderInstalled() error {
	err := exec.Command(python, "-c", `import sys, importlib.util as u; sys.exit(not (u.find_spec("cinder") and u.find_spec("rbd")))`).Run()
	if err != nil {
		return errors.New("not installed (Debian: python3-cinder)")
	}
	return nil
}

// A cinderLoop is a process with Cinder's RBDDriver.
type cinderLoop struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *bufio.Scanner
}

func startCinder(conf string) (*cinderLoop, error) {
	l := &cinderLoop{cmd: exec.Command(python, "-W", "ignore", "-c", cinderScript, conf)}
	l.cmd.Env = append(os.Environ(), "CEPH_CONF="+conf)
	var complaints strings.Builder
	l.cmd.Stderr = &complaints
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if l.in, err = l.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	l.answers = bufio.NewScanner(out)
	if err := l.answer(); err != nil {
		return nil, errors.Join(err, l.close(), errors.New(complaints.String()))
	}
	return l, nil
}

func (l *cinderLoop) answer() error {
	if !l.answers.Scan() {
		return errors.Join(l.answers.Err(), errors.New("cinder has ended"))
	}
	if text := l.answers.Text(); text != "ok" {
		return errors.New(text)
	}
	return nil
}

func (l *cinderLoop) close() error {
	return errors.Join(l.in.Close(), l.cmd.Wait())
}

func (s *rbdSite) askCinder(operation string, first, n, workers int) error {
	if _, err := fmt.Fprintln(s.cinder.in, operation, first, n*workers, workers); err != nil {
		return err
	}
	return s.cinder.answer()
}

package redfish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// taskState asks a task monitor, or task, how far it is (DSP0266, 12.2). done also where it has
// vanished: tasks are deleted, and BMCs forget them when they restart; what it was for is read
// back. waits means that it waits for a reset. A task that failed is ErrRejected.
func (n *conn) taskState(ctx context.Context, uri string) (done, waits bool, err error) {
	resp, err := n.send(ctx, http.MethodGet, uri, nil, nil)
	if status := statusOf(err); status == http.StatusNotFound || status == http.StatusGone {
		return true, false, nil
	}
	if err != nil {
		err = n.fail(ctx, "GET "+uri, err)
		if !passing(err) {
			// A monitor answers with what the operation came to.
			return true, false, err
		}
		return false, false, err
	}
	body, readErr := io.ReadAll(resp.Body)
	resp.Body.Close()
	if readErr != nil {
		return false, false, n.fail(ctx, "GET "+uri, readErr)
	}
	d := gjson.ParseBytes(body)
	state, message := taskMessage(d)
	switch {
	case state != "" && failed(state, d):
		return true, false, &requestError{kind: hardware.ErrRejected, text: fmt.Sprintf("redfish: %s: %v: task %s ended as %s: %s",
			n.target.Node, hardware.ErrRejected, last(uri), state, n.brief(message))}
	case state != "" && ended(state):
		return true, false, nil
	case state != "":
		return false, waiting(state) && state != "New", nil
	}
	return resp.StatusCode != http.StatusAccepted, false, nil
}

// taskMessage reads Task or Job; iDRAC's tasks carry the job, whose state says more.
func taskMessage(d gjson.Result) (state, message string) {
	if job := d.Get("Oem.Dell"); job.Get("JobState").Exists() {
		return job.Get("JobState").String(), job.Get("Message").String()
	}
	state = d.Get("TaskState").String()
	if state == "" {
		state = d.Get("JobState").String()
	}
	d.Get("Messages").ForEach(func(_, m gjson.Result) bool {
		message = m.Get("Message").String() // the last is the latest
		return true
	})
	return state, message
}

func failed(state string, d gjson.Result) bool {
	switch state {
	case "Exception", "Killed", "Cancelled", "Failed", "CompletedWithErrors", "RebootFailed":
		return true
	case "Completed":
		return d.Get("TaskStatus").String() == "Critical"
	}
	return false
}

// follow202 remembers the task of an accepted change.
func (a *applier) follow202(r reply) {
	if task := r.task(); task != "" {
		a.tasks = append(a.tasks, task)
	}
}

// errWaits is a task that a reset starts.
var errWaits = errors.New("it waits for a reset")

// awaitTask waits for a task to end. errWaits: a reset has to start it. A task that waits its turn
// in a queue may look the same for a while.
func (a *applier) awaitTask(ctx context.Context, uri string, limit time.Duration, what string) error {
	timeout := fmt.Errorf("redfish: %s: %s: %w: task %s has not ended", a.target.Node, what, hardware.ErrNotConverged, last(uri))
	moved := a.c.clock.Now()
	return a.c.poll(ctx, limit, timeout, func() (bool, error) {
		done, waits, err := a.taskState(ctx, uri)
		if now := a.c.clock.Now(); err != nil || !waits {
			moved = now
		} else if now.Sub(moved) >= a.c.config.SettleTimeout {
			return true, errWaits
		}
		return done, err
	})
}

// tasksEnded reports whether all remembered tasks have ended, and forgets those that have.
func (a *applier) tasksEnded(ctx context.Context) (bool, error) {
	for len(a.tasks) > 0 {
		done, _, err := a.taskState(ctx, a.tasks[0])
		if err != nil || !done {
			return false, err
		}
		a.tasks = a.tasks[1:]
	}
	return true, nil
}

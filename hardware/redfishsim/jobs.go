package redfishsim

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Job is work that the BMC does, or will do at the next POST.
type Job struct {
	ID      string    `json:"id"`
	Kind    JobKind   `json:"kind"`
	Target  string    `json:"target"` // what it works on, as the vendor names it
	State   JobState  `json:"state"`
	Percent int       `json:"percent"`
	Message string    `json:"message,omitempty"`
	OnReset bool      `json:"on_reset,omitempty"` // runs during POST
	Created time.Time `json:"created"`
	Started time.Time `json:"started,omitzero"`
	Until   time.Time `json:"until,omitzero"` // when it will have ended, if it runs
	Ended   time.Time `json:"ended,omitzero"`

	// One of these says what to do.
	Values  map[string]any `json:"values,omitempty"` // BIOS settings
	Create  *Volume        `json:"create,omitempty"`
	Delete  string         `json:"delete,omitempty"`  // volume ID
	Rebuilt string         `json:"rebuilt,omitempty"` // volume ID; Onto takes the place of From
	From    string         `json:"from,omitempty"`
	Onto    string         `json:"onto,omitempty"`
}

// JobKind is what a job is about.
type JobKind string

// Kinds of jobs.
const (
	JobBIOS    JobKind = "bios"
	JobRAID    JobKind = "raid"
	JobRebuild JobKind = "rebuild"
)

// JobState is how far a job is.
type JobState string

// States of jobs.
const (
	JobScheduled JobState = "Scheduled"
	JobRunning   JobState = "Running"
	JobCompleted JobState = "Completed"
	JobFailed    JobState = "Failed"
)

// maxEnded bounds how many ended jobs a machine remembers.
const maxEnded = 32

// Active says whether the job has not ended.
func (j Job) Active() bool { return j.State == JobScheduled || j.State == JobRunning }

// timed says whether the job ends by itself rather than with POST.
func (j *Job) timed() bool { return j.State == JobRunning && !j.OnReset }

func (j Job) clone() Job {
	j.Values = maps.Clone(j.Values)
	if j.Create != nil {
		v := j.Create.clone()
		j.Create = &v
	}
	return j
}

func jobValues(jobs []Job) []map[string]any {
	var out []map[string]any
	for _, j := range jobs {
		out = append(out, j.Values)
	}
	return out
}

// percent is how much of a running job is done at a time.
func (j *Job) percent(now time.Time) int {
	if total := j.Until.Sub(j.Started); j.State == JobRunning && total > 0 {
		return int(min(max(100*now.Sub(j.Started)/total, 0), 99))
	}
	return j.Percent
}

// addJob needs the lock and leaves it to the caller to tell of the change. The result is
// good until the next job is added.
func (m *Machine) addJob(j Job) *Job {
	j.ID, j.State, j.Created, j.Message = m.traits.jobID(m.state.NextJob), JobScheduled, m.now, "Task successfully scheduled."
	m.state.NextJob++
	ended := 0
	for _, old := range m.state.Jobs {
		if !old.Active() {
			ended++
		}
	}
	if ended >= maxEnded {
		oldest := slices.IndexFunc(m.state.Jobs, func(j Job) bool { return !j.Active() })
		m.state.Jobs = slices.Delete(m.state.Jobs, oldest, oldest+1)
	}
	m.state.Jobs = append(m.state.Jobs, j)
	return &m.state.Jobs[len(m.state.Jobs)-1]
}

func (j *Job) start(at, until time.Time) {
	j.State, j.Started, j.Until, j.Message = JobRunning, at, until, "Job in progress."
}

func (j *Job) end(s JobState, at time.Time, message string) {
	j.State, j.Ended, j.Until, j.Percent, j.Message = s, at, time.Time{}, 100, message
}

// active returns the first job of a kind in one of the states, nil if there is none.
func (m *Machine) active(kind JobKind, states ...JobState) *Job {
	for i := range m.state.Jobs {
		if j := &m.state.Jobs[i]; j.Kind == kind && slices.Contains(states, j.State) {
			return j
		}
	}
	return nil
}

// startJobs begins what waited for POST and returns by how much that makes it longer. A BIOS
// job that finds a RAID job at work breaks both (stackhpc/drac#2); those that waited for the
// same POST run one after the other.
func (m *Machine) startJobs(at time.Time) time.Duration {
	if m.faults.stuckJobs {
		return 0
	}
	if bios := m.active(JobBIOS, JobScheduled); bios != nil && m.active(JobRAID, JobRunning) != nil {
		m.collide(at)
	}
	var longer time.Duration
	for i := range m.state.Jobs {
		j := &m.state.Jobs[i]
		if !j.OnReset || j.State != JobScheduled {
			continue
		}
		longer += m.jobTime(j.Kind)
		j.start(at, time.Time{})
	}
	return longer
}

func (m *Machine) jobTime(k JobKind) time.Duration {
	switch k {
	case JobBIOS:
		return m.spec.Times.Job
	case JobRAID:
		return m.spec.Times.Volume
	}
	return m.spec.Times.Rebuild
}

// collide fails the BIOS job and the RAID jobs at work.
func (m *Machine) collide(at time.Time) {
	m.state.Collisions++
	for i := range m.state.Jobs {
		j := &m.state.Jobs[i]
		if j.Kind == JobBIOS && j.Active() || j.Kind == JobRAID && j.State == JobRunning {
			if j.Kind == JobBIOS {
				clear(m.state.Pending)
			}
			j.end(JobFailed, at, collided)
		}
	}
}

const collided = "Another configuration job was at work at the same time."

// interrupt puts off what ran during a POST that did not finish; it runs at the next.
func (m *Machine) interrupt() {
	for i := range m.state.Jobs {
		if j := &m.state.Jobs[i]; j.OnReset && j.State == JobRunning {
			j.State, j.Started, j.Until, j.Message = JobScheduled, time.Time{}, time.Time{}, "Task successfully scheduled."
		}
	}
}

// finishJobs ends what ran during POST.
func (m *Machine) finishJobs(at time.Time) {
	if m.faults.stuckJobs {
		return
	}
	for i := range m.state.Jobs {
		if j := &m.state.Jobs[i]; j.OnReset && j.State == JobRunning {
			m.finish(j, at)
		}
	}
}

// finish does a job's work.
func (m *Machine) finish(j *Job, at time.Time) {
	var err error
	switch {
	case j.Create != nil:
		m.addVolume(j.Create.clone())
	case j.Delete != "":
		err = m.removeVolume(j.Delete)
	case j.Rebuilt != "":
		err = m.rebuilt(j)
	default:
		m.applyBIOS(j.Values)
	}
	if err != nil {
		j.end(JobFailed, at, err.Error())
		return
	}
	j.end(JobCompleted, at, "Job completed successfully.")
}

// CommitBIOS makes a job of what pends in the BIOS, which runs at the next POST, and returns
// its ID. Only personalities with such jobs (Dell) need it. While there is one it is
// ErrCommitted, when nothing pends ErrConflict.
func (m *Machine) CommitBIOS() (id string, err error) {
	err = m.do(func() error { id, err = m.commitBIOS(); return err })
	return id, err
}

// scheduleBIOS is SetBIOS and CommitBIOS in one; there is no job, and no ID, if all the
// values are in force already.
func (m *Machine) scheduleBIOS(values map[string]any) (id string, err error) {
	err = m.do(func() error {
		if err := m.setBIOS(values, m.spec.Dependencies); err != nil || len(m.state.Pending) == 0 {
			return err
		}
		id, err = m.commitBIOS()
		return err
	})
	return id, err
}

func (m *Machine) commitBIOS() (string, error) {
	switch {
	case !m.traits.biosJobs:
		return "", fmt.Errorf("%w: a %s machine has no BIOS jobs", ErrInvalid, m.spec.Personality)
	case m.active(JobBIOS, JobScheduled, JobRunning) != nil:
		return "", ErrCommitted
	case len(m.state.Pending) == 0:
		return "", fmt.Errorf("%w: no BIOS settings pend", ErrConflict)
	}
	id := m.addJob(Job{Kind: JobBIOS, Target: m.traits.biosTarget, OnReset: true, Values: maps.Clone(m.state.Pending)}).ID
	m.changed()
	return id, nil
}

// DeleteJob removes a job that waits, and what it would have done: pending BIOS settings
// are gone then. A job that runs is ErrConflict, one that has ended is only forgotten.
func (m *Machine) DeleteJob(id string) error {
	return m.do(func() error {
		i := slices.IndexFunc(m.state.Jobs, func(j Job) bool { return j.ID == id })
		if i < 0 {
			return fmt.Errorf("%w: job %q", ErrNotFound, id)
		}
		switch j := m.state.Jobs[i]; {
		case j.State == JobRunning:
			return fmt.Errorf("%w: job %s runs", ErrConflict, id)
		case j.State == JobScheduled && j.Kind == JobBIOS:
			clear(m.state.Pending)
		}
		m.state.Jobs = slices.Delete(m.state.Jobs, i, i+1)
		m.changed()
		return nil
	})
}

// setFaults changes the knobs. Jobs that were stuck take their whole time from now; a BIOS
// job that missed its POST waits for another.
func (m *Machine) setFaults(f faults) {
	_ = m.do(func() error {
		if released := m.faults.stuckJobs && !f.stuckJobs; released {
			for i := range m.state.Jobs {
				j := &m.state.Jobs[i]
				switch {
				case j.timed():
					j.start(m.now, m.now.Add(m.jobTime(j.Kind)))
				case j.OnReset && j.State == JobRunning && m.state.Power != PowerPOST:
					j.State, j.Started, j.Until = JobScheduled, time.Time{}, time.Time{}
				default:
					continue
				}
			}
			m.faults = f
			m.changed()
		}
		m.faults = f
		return nil
	})
}

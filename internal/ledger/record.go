package ledger

import (
	"encoding/json"
	"fmt"
)

// A jobRecord is what the column fingerprint of a job has.
type jobRecord struct {
	Version int `json:"version"` // of the form of all that is kept; 0 before there were any
	Fingerprint
	Files Files `json:"files,omitempty"`
	// Filtered is what Merged has of a job that is complete: older versions have made tables
	// of jobs without a column for it.
	Filtered int64 `json:"filtered,omitempty"`
	InSet

	// What versions before 2 have in place of Reads and Shares, in words. It is written
	// still, for them to say that they do not know the version.
	Form  string `json:"form"`
	Lanes string `json:"lanes"`
}

// record returns what the column fingerprint is to have.
func (j *Job) record() (string, error) {
	return jobRecord{Fingerprint: j.Fingerprint, Files: j.Files, Filtered: j.Filtered, InSet: j.InSet}.text()
}

func (r jobRecord) text() (string, error) {
	r.Version, r.Form, r.Lanes = max(r.Reads.version(), r.InSet.version()), r.Reads.String(), r.Shares.String()
	text, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("the input's fingerprint: %w", err)
	}
	return string(text), nil
}

// readRecord reads what text has returned, by this version or an earlier one. Of a later
// one's only the version is read.
func readRecord(job, text string) (r jobRecord, err error) {
	var of struct{ Version int }
	if err = json.Unmarshal([]byte(text), &of); err == nil && of.Version > Version {
		return r, &VersionError{Job: job, Version: of.Version}
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &r)
	}
	if err != nil {
		return r, fmt.Errorf("the input's fingerprint: %w", err)
	}
	if r.Version < readsVersion {
		r.Reads, r.Shares = Form{Words: r.Form}, Shares{Words: r.Lanes}
	}
	return r, nil
}

const (
	// readsVersion is the first that keeps fields in place of words.
	readsVersion = 2
	// unusualVersion is the first that knows what Form.unusual says. Others would read on as if
	// it was not said.
	unusualVersion = 3
	// setVersion is the first that knows sets and their runs.
	setVersion = 4
	// sharedVersion is the first that knows of InSet.Shared.
	sharedVersion = 5
)

// version returns the first version that can go on with a job of this form.
func (f Form) version() int {
	if f.unusual() != "" {
		return unusualVersion
	}
	return readsVersion
}

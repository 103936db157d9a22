// Package failure has the errors that a load ends with: which record, which job, which
// server, and why. Their fields are for programs; Error says the same to people, and Advice
// what to do about it, in words of the library.
//
// It knows nothing of how a load goes on: whoever makes an error fills in its fields.
package failure

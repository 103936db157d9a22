// Package places finds and opens what a command names: files, patterns, directories, https://
// and http:// URLs, and s3:// buckets.
//
// A name stands for parts, each of which is one input. They come in the order of their names, as
// they are found: what is kept of a part is what a [Part] holds. What is hidden is left out (a
// name that begins with a dot, unless the pattern has the dot), as shells do it. Links to files
// are followed, those to directories only where a pattern names them by something else than **.
// Pipes, sockets and devices are inputs where they are named, and left out where they are only
// found. What cannot be looked at is an error: a set must not be smaller than it seems.
//
// Objects are read by ranges. Each request says which version of the object it wants, and each
// answer must be of the version that was opened first, so that bytes of two are never mixed. What
// a store fails with is tried again as servers of databases are: for as long as Options.RetryFor
// says, from the byte where it broke off.
//
// Secrets are in no error, no log and no name: see [Identity].
package places

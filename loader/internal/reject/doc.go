// Package reject keeps records aside that cannot be stored, with the reason, while all others
// are.
//
// A Keeper judges whether there are too many, and writes each of them to a file, which is on
// disk before the transaction that counts it: a load that is stopped and goes on rejects each
// record once. It knows files and marks, and no server: the load tells it what to note in the
// database, and when. Of a set's run it gives the records to the transaction instead, as rows, and
// SetFiles writes the files at the end of the set.
package reject

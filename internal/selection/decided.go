package selection

import "fmt"

// decided refuses a condition that calls a VOLATILE function. The server decides it where it
// computes what decides a row's shard, where it leaves rows out, and where it looks for bad ones;
// and what depends on no field once for many records.
func decided(source *source, f *facts, condition *node) *MistakeError {
	n, name := f.volatile(condition)
	if n == nil {
		return nil
	}
	return source.mistake(leftmost(n), fmt.Sprintf("function %s is VOLATILE, and a condition must be the same whenever a record is held against it", name),
		"write one of the record's fields; a part of the records is had by one of them, as in hashtext(id) % 10 = 0").inCondition(source.where)
}

// volatile returns what in an expression calls a VOLATILE function, and its name; nil for nothing.
func (f *facts) volatile(expr *node) (at *node, name string) {
	for n := range expr.all() {
		ids := functionsOf(n)
		for _, op := range operatorsOf(n) {
			ids = append(ids, f.ops[op])
		}
		if n.kind == "COERCEVIAIO" {
			ids = append(ids, f.types[n.number("resulttype")].in)
		}
		for _, id := range ids {
			if p := f.funcs[id]; p.volatility == "v" {
				return n, p.name
			}
		}
	}
	return nil, ""
}

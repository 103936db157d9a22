package verify

import "context"

// What the tests of this package look at beyond its face.
var OrphansSQL = orphansSQL

// DeepWith is Deep with another bound on the tenants that are compared at once.
func DeepWith(ctx context.Context, cfg DeepConfig, tenants int) (DeepCheck, error) {
	d := newDeep(cfg)
	d.tenants = tenants
	return d.run(ctx)
}

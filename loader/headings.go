package loader

import "context"

// An InputHeading is the Heading of an input, or of a file of a set.
type InputHeading struct {
	Name string
	Heading
}

// Headings is Heading for each file of a set, in the order of their names; for another input it
// is one at most. Files that have no records are left out.
func (l *Loader) Headings(ctx context.Context, in Input) (list []InputHeading, err error) {
	if in.open != nil {
		return headingOf(ctx, l, in, nil)
	}
	parts, err := in.set.list(ctx)
	for i := 0; i < len(parts) && err == nil; i++ {
		part, as := in.set.open(parts[i].Name), l
		if in.set.format != nil {
			part.format = in.set.format(part.name)
		}
		if as, err = loaderAs(l, part.format); err == nil {
			list, err = headingOf(ctx, as, part, list)
		}
	}
	return list, err
}

// headingOf appends what in has for a heading.
func headingOf(ctx context.Context, l *Loader, in Input, list []InputHeading) ([]InputHeading, error) {
	h, ok, err := l.Heading(ctx, in)
	if ok {
		list = append(list, InputHeading{in.name, h})
	}
	return list, err
}

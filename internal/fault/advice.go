package fault

// An Adviser is an error that says what can be done about it, in the words of the library.
// Its text has the advice in it, so that whoever shows it to people may put it into words
// of theirs: a command speaks of its flags.
type Adviser interface {
	error
	Advice() string
}

// Advise returns err with advice at the end of its text.
func Advise(err error, advice string) error { return &advised{err, advice} }

type advised struct {
	err    error
	advice string
}

func (e *advised) Error() string  { return e.err.Error() + "; " + e.advice }
func (e *advised) Unwrap() error  { return e.err }
func (e *advised) Advice() string { return e.advice }

// Advices returns what err and the errors that it wraps advise.
func Advices(err error) (list []string) {
	if adviser, ok := err.(Adviser); ok && adviser.Advice() != "" {
		list = append(list, adviser.Advice())
	}
	switch wrapper := err.(type) {
	case interface{ Unwrap() []error }:
		for _, inner := range wrapper.Unwrap() {
			list = append(list, Advices(inner)...)
		}
	case interface{ Unwrap() error }:
		if inner := wrapper.Unwrap(); inner != nil {
			list = append(list, Advices(inner)...)
		}
	}
	return list
}

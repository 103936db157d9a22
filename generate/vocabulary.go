package generate

import "strings"

// A word is a piece of a field as a dialect writes it: quotes and backslashes are
// seen to once, when the vocabulary is made, and no field is looked through again.
type word struct {
	text   string // as it is in a field, within quotes if that has any
	quoted bool   // whether a field needs quotes because of it
}

// A vocabulary has the words of one dialect, with the blanks that set them apart.
type vocabulary struct {
	brands     [len(brands)]word
	trades     [len(trades)]word
	legalForms [len(legalForms)]word

	occasions [len(occasions)]word
	years     [calendarYears]word
	audiences [len(audiences)]word
	costs     [len(costModels)]word
	states    [len(states)]word
	sites     [len(sites)]word // elements of arrays
	comma     word             // between them

	adjectives [len(adjectives)]word
	products   [len(products)]word
	offers     [offersInAll]word
	targets    [len(products)]word // addresses that an ad's number completes
}

// nothing is the empty word, in any dialect.
var nothing word

// offersInAll is so much more than the offers that one ad in four has one.
const offersInAll = 4 * len(offers)

func newVocabulary(newWord func(string) word) *vocabulary {
	v := &vocabulary{comma: newWord(",")}
	fill := func(words []word, from []string, form func(string) string) {
		for i, s := range from {
			words[i] = newWord(form(s))
		}
	}
	asIs := func(s string) string { return s }
	before := func(s string) string { return s + " " }

	fill(v.brands[:], brands[:], before)
	fill(v.trades[:], trades[:], asIs)
	fill(v.legalForms[:], legalForms[:], asIs)
	fill(v.occasions[:], occasions[:], asIs)
	fill(v.years[:], years(), func(s string) string { return " " + s })
	fill(v.audiences[:], audiences[:], asIs)
	fill(v.costs[:], costModels[:], asIs)
	fill(v.states[:], states[:], asIs)
	fill(v.sites[:], sites[:], arrayElement)
	fill(v.adjectives[:], adjectives[:], before)
	fill(v.offers[:], offers[:], asIs)
	for i, p := range products {
		v.products[i] = newWord(p.name)
		v.targets[i] = newWord("https://shop.example.com/" + p.slug + "?ad=")
	}
	return v
}

// arrayElement returns s as array_out writes it. Sites have no quotes,
// backslashes or blanks, and none is empty.
func arrayElement(s string) string {
	if strings.ContainsAny(s, ",{}") {
		return `"` + s + `"`
	}
	return s
}

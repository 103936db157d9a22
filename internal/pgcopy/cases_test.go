package pgcopy_test

import (
	"slices"
	"strings"

	"shardload/internal/pgcopy"
)

// A typeCase is a type and texts of its values: what an encoder must be sure of,
// and what it must leave to the server.
type typeCase struct {
	name         string // as SQL writes it
	sure, unsure []string
	json         bool // the server may still refuse what is sure
	since        int  // the first major version of the server that has the type
}

// allOpts are the options with which encoders are sure of most.
var allOpts = pgcopy.Options{UTF8: true, ArrayNulls: true}

// scalarCases has every type that is no array.
func scalarCases() []typeCase {
	return slices.Concat(numberCases(), textCases(), timeCases())
}

func numberCases() []typeCase {
	notIntegers := []string{
		"", " ", " 1", "1 ", "\t1", "+", "-", "--1", "+-1", "1.0", "1e3", "1_000", "0x10", "0b1", "0o7", "one", "NULL",
		"1\x00", "١", "99999999999999999999", "-99999999999999999999", "00000000000000000001", "9223372036854775808", "-9223372036854775809",
	}
	floats := []string{
		"0", "-0", "+0", "0.0", "-0.0e0", "0e400", "-0e-9999", "1", "-1", "+1", "007", "1.", ".5", "-.5", "+.5e1", "1.e2", "3.14159", "1E6", "1e+6", "1e-6",
		"0.1", "0.3", "16777217", "16777219", "33554435.0", "9007199254740993", "123456789012345678901234567890",
		"8388608.5", "1.00000017881393421514957253748434595763683319091796875001", "1.17549435e-38", "3.4028234e38", "3.40282346638528859811704183484516925e+38",
	}
	notFloats := []string{
		"", " ", " 1", "1 ", ".", "+", "-.", "e5", ".e5", "1e", "1e+", "1e1.5", "1..2", "1.2.3", "1_0", "0x1p4", "0x10", "1e400", "-1e400", "1e-400", "1e99999",
		"NaN", "nan", "inf", "-inf", "Infinity", "-Infinity", "+infinity", "1f", "1d", "1,5", "++1", "1\x00",
	}
	return []typeCase{
		{
			name:   "smallint",
			sure:   []string{"0", "-0", "+0", "1", "-1", "+5", "007", "-007", "32767", "-32768", "0000000000000032767"},
			unsure: append([]string{"32768", "-32769", "65535"}, notIntegers...),
		},
		{
			name:   "integer",
			sure:   []string{"0", "-0", "42", "+42", "007", "2147483647", "-2147483648", "0002147483647"},
			unsure: append([]string{"2147483648", "-2147483649", "4294967295"}, notIntegers...),
		},
		{
			name:   "bigint",
			sure:   []string{"0", "-0", "42", "+42", "007", "9223372036854775807", "-9223372036854775808", "+9223372036854775807"},
			unsure: notIntegers,
		},
		{
			name:   "real",
			sure:   floats,
			unsure: append([]string{"3.5e38", "1e39", "-1e39", "1.17549421e-38", "1e-40", "1e-46", "1.4e-45"}, notFloats...),
		},
		{
			name: "double precision",
			sure: append([]string{
				"1.7976931348623157e308", "-1.7976931348623157e308", "2.2250738585072014e-308", "1e-300", "1e39", "1e-46", "4503599627370497.5",
				"0.500000000000000166533453693773481063544750213623046875", "179769313486231570000000000000000000000e270",
			}, floats...),
			unsure: append([]string{"1.8e308", "1.7976931348623159e308", "2.2250738585072009e-308", "4.9e-324", "1e-308", "1e-324"}, notFloats...),
		},
		{
			name: "numeric",
			sure: []string{
				"0", "-0", "+0", "0.0", "-0.000", "00.10", "1", "-1", "+1", "007", "9999", "10000", "10001", "99999999", "100000000", "1.5", "1.50", "0.1", "0.0001",
				"0.00001", "0.00000000000001", "10000.0001", "-12345678901234567890.123456789012345678901234567890", "100000000000000000000000000000000000000000",
				strings.Repeat("9", 999), "0." + strings.Repeat("0", 900) + "1", strings.Repeat("0", 1000),
			},
			unsure: []string{
				"", " ", " 1", "1 ", "-", ".", ".5", "1.", "1e5", "1_0", "0x1", "NaN", "Infinity", "1.2.3", "1.-2", "--1", "1\x00", strings.Repeat("9", 1001),
			},
		},
		{
			name:   "numeric(6,2)",
			sure:   []string{"0", "9999.99", "-9999.99", "999.999", "999.995", "999.994999", "0001234.50", "1", "1.005", "0.001"},
			unsure: []string{"9999.995", "9999.994", "10000", "123456", "-10000.0"},
		},
		{
			name: "numeric(3,5)", since: 15,
			unsure: []string{"0", "0.00999", "0.001", "1"},
		},
		{
			name: "numeric(2,-3)", since: 15,
			sure:   []string{"0", "9999", "1499", "1500", "9999.99"},
			unsure: []string{"99500", "12345", "123456"},
		},
		{
			name: "boolean",
			sure: []string{
				"t", "T", "true", "TRUE", "True", "f", "F", "false", "FALSE", "False", "y", "Y", "yes", "YES", "Yes", "n", "N", "no", "NO", "No",
				"on", "ON", "On", "off", "OFF", "Off", "1", "0",
			},
			unsure: []string{"", " ", "tr", "tRUE", "o", "of", "2", "10", "true ", " true", "null", "t\x00"},
		},
	}
}

func textCases() []typeCase {
	texts := []string{
		"", " ", "a", "hello", "  padded  ", "null", "NULL", `\N`, `\.`, `\`, `\\`, `"`, `""`, `"quoted"`, ",", "{}", "{a,b}", "a,b", "line\nfeed", "carriage\rreturn",
		"\r\n", "tab\t", "\v\f", "\x01\x1f\x7f", "é", "日本語", "😀", "e\u0301", "\ufeffbom", "\u0080\u07ff\u0800\ufffd\uffff\U00010000\U0010ffff", "1234567", "12345678",
		"12345678é", "1234567é", "\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f", "\x01\x01\x01\x01\x01\x01\x01\x01", strings.Repeat("x", 9000), strings.Repeat("é", 9000),
	}
	notTexts := []string{
		"\x00", "a\x00", "1234567\x00", "\x001234567", "1234\x00567", "\x00\x01\x01\x01\x01\x01\x01\x01", "é\x00", "\x80", "\xff", "\xc3", "12345678\x80", "\xc0\x80",
		"\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "caf\xe9", "abcdefg\xc3",
	}
	jsons := []string{
		`{}`, `[]`, `null`, `0`, `"a"`, `{"a": 1, "b": [true, null, 1.50]}`, ` {"a":1} `, `{"a":1,"a":2}`, `"é😀"`, `"\u00e9\ud83d\ude00"`, `1e5`, "[\n1\t]",
		`{"deep":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}",
		`123456789012345678901234567890.10`, `"` + strings.Repeat("long ", 2000) + `"`,
	}
	return []typeCase{
		{name: "text", sure: texts, unsure: notTexts},
		{name: "varchar", sure: texts, unsure: notTexts},
		{
			name:   "varchar(5)",
			sure:   []string{"", " ", "a", "12345", "     ", "éééé", "ééééé", "😀😀😀😀😀", "日本語日本", "a\nb"},
			unsure: []string{"123456", "12345 ", "éééééé", "12345é", "\x00", "\xff", "\xff\xff\xff", "a\x00"},
		},
		{name: "json", sure: jsons, unsure: append([]string{""}, notTexts...), json: true},
		{name: "jsonb", sure: jsons, unsure: append([]string{""}, notTexts...), json: true},
		{
			name:   "bytea",
			sure:   []string{`\x`, `\x00`, `\xdeadbeef`, `\xDEADbeef`, `\x0a0d5c22`, `\x` + strings.Repeat("ff", 5000)},
			unsure: []string{"", "a", `\`, `\\`, `\000`, `\X00`, `\x0`, `\x0g`, `\x 00`, `\x00 `, `\x0 0`, "x00", "\\x0\x00", "é"},
		},
		{
			name: "uuid",
			sure: []string{
				"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
				"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc999c0b4ef8bb6d6bb9bd380a11",
			},
			unsure: []string{
				"", "a0eebc99", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11", "a0eebc999c0b-4ef8-bb6d-6bb9bd380a11",
				"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111", " 0eebc999c0b4ef8bb6d6bb9bd380a11",
				"a0eebc99_9c0b_4ef8_bb6d_6bb9bd380a11", "a0eebc9-99c0b-4ef8-bb6d-6bb9bd380a11", "-0eebc999c0b4ef8bb6d6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1\x00",
			},
		},
	}
}

func timeCases() []typeCase {
	dates := []string{
		"2000-01-01", "1999-12-31", "2024-02-29", "2000-02-29", "2023-02-28", "1900-02-28", "1900-03-01", "2100-12-31", "0001-01-01", "0004-02-29", "0099-12-31",
		"9999-12-31", "1970-01-01", "1582-10-10", "2024-12-31", "2024-03-01", "2024-04-30",
	}
	notDates := []string{
		"", " ", "now", "today", "epoch", "infinity", "-infinity", "NULL", "0000-01-01", "10000-01-01", "2023-02-29", "1900-02-29", "2024-00-01", "2024-13-01",
		"2024-01-00", "2024-01-32", "2024-04-31", "2024-1-2", "24-01-02", "01-02-2024", "2024/01/02", "20240102", "2024.01.02", "2024-Jan-02", "2024-01-02 BC", "-2024-01-02",
		"2024-001", "J2451187", " 2024-01-02", "2024-01-02 ", "2024-01-0a", "2a24-01-02", "2024-01-02T", "2024-01-02Z", "2024-01-02+00", "2024-01-02\x00",
	}
	times := []string{
		"2024-02-29 23:59:59", "2024-02-29T23:59:59", "2000-01-01 00:00:00", "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "1999-12-31 23:59:59.999999",
		"2024-01-02 03:04:05.1", "2024-01-02 03:04:05.12", "2024-01-02 03:04:05.123", "2024-01-02 03:04:05.1234", "2024-01-02 03:04:05.12345", "2024-01-02 03:04:05.000001",
		"2024-01-02 03:04:05.0", "2024-01-02 03:04", "2024-01-02T03:04", "2024-03-31 02:30:00", "2024-10-27 02:30:00", "1883-11-18 12:03:58", "1582-10-04 12:00:00",
	}
	zones := []string{"Z", "+00", "-00", "+02", "-07", "+05:30", "-03:30", "+0530", "-0330", "+14", "-14:59", "+14:59", "+00:00", "-00:30"}
	notTimes := append([]string{
		"2024-01-02 24:00:00", "2024-01-02 23:59:60", "2024-01-02 25:00", "2024-01-02 12:60", "2024-01-02 03", "2024-01-02 3:04", "2024-01-02 03:04:5", "2024-01-02 03:04:05.",
		"2024-01-02 03:04:05.1234567", "2024-01-02 03:04:05,123", "2024-01-02  03:04:05", "2024-01-02t03:04:05", "2024-01-02 03:04:05 ", "2024-01-02 03:04:05 PM",
		"2024-01-02 03:04:05 BC", "2024-01-02 03:04:05 Z", "2024-01-02 03:04:05 +02", "2024-01-02 03:04:05z", "2024-01-02 03:04:05ZZ", "2024-01-02 03:04:05+", "2024-01-02 03:04:05+2",
		"2024-01-02 03:04:05+020", "2024-01-02 03:04:05+02:0", "2024-01-02 03:04:05+15", "2024-01-02 03:04:05+02:60", "2024-01-02 03:04:05+02:00:00", "2024-01-02 03:04:05 UTC",
		"2024-01-02 03:04:05 Europe/Paris", "2024-01-02 03:04:05EST", "2024-01-02 03:04:", "2024-01-02 :", "20240102T030405", "2024-01-02 030405", "2024-01-02 03:04:05-02-02",
		"2024-01-02 03.04.05", "2024-01-02 03:04:05\x00",
	}, notDates...)
	var zoned []string
	for _, t := range times {
		for _, z := range zones {
			zoned = append(zoned, t+z)
		}
	}
	unzoned := slices.Concat(times, dates)
	both := slices.Concat(zoned, unzoned)
	return []typeCase{
		{name: "date", sure: dates, unsure: slices.Concat(notDates, times)},
		{name: "timestamp", sure: both, unsure: notTimes},
		{name: "timestamp(0)", sure: both, unsure: notTimes},
		{name: "timestamp(3)", sure: both, unsure: notTimes},
		{name: "timestamptz", sure: zoned, unsure: slices.Concat(notTimes, unzoned)},
		{name: "timestamptz(2)", sure: zoned, unsure: slices.Concat(notTimes, unzoned)},
	}
}

// arrayCases has the syntax of arrays, and an array of each type's values.
func arrayCases() []typeCase {
	cases := []typeCase{
		{
			name: "text[]",
			sure: []string{
				"{}", "{a}", "{a,b}", "{a b,c  d}", "{ a,  b }", "{a ,b}", `{""}`, `{"",""}`, `{"a","b"}`, `{ "a" , "b" }`, `{"{}","a,b"}`, `{"\"","\\","\a"}`,
				`{"a\\\"b","\\"}`, `{" a "}`, "{NULL}", "{null,nUlL, NULL }", `{"NULL"}`, "{NULLS,XNULL,nul}", "{é,日本語,\"😀\"}", `{"\é"}`, "{\"a\nb\",c\nd}", "{a\tb}", "{'a'}", "{[1:2]=}",
				"{http://example.com/?a=b&c=d}", `{"` + strings.Repeat(`\\x`, 5000) + `"}`, "{" + strings.Repeat("a,", 5000) + "NULL}",
			},
			unsure: []string{
				"", "{", "}", "a", "{a", "a}", "{a,}", "{,a}", "{,}", "{a,,b}", "{ }", "{  }", " {a}", "{a} ", "{{a}}", "{{}}", "{a,{b}}", "[1:1]={a}", "[0:0]={a}", `{a"b}`, `{"a"b}`, `{"a" b}`,
				`{"a}`, `{"a\}`, `{"a\"}`, `{a\,b}`, `{a\}`, `{\a}`, "{\ta}", "{a\t}", "{\na}", "{a\v}", "{\"a\"\t}", `{a}b}`, `{a}{b}`, "{a\x00}", "{\"\x00\"}", "{\xff}", `{"\` + "\xff" + `"}`, "{\"\\\x00\"}",
			},
		},
		{
			name:   "integer[]",
			sure:   []string{"{}", "{1}", "{1,2,3}", "{1, 2, 3}", `{"1","\2"}`, "{NULL,-1,NULL}", "{2147483647,-2147483648}"},
			unsure: []string{"{1,a}", "{1,2147483648}", `{""}`, `{" 1"}`, "{1.5}", "{{1},{2}}", "{1;2}"},
		},
		{
			name:   "varchar(3)[]",
			sure:   []string{"{abc,ab,a}", `{"","ééé"}`, `{"\a\b\c"}`},
			unsure: []string{"{abcd}", `{"abc "}`, "{éééé}"},
		},
		{name: "numeric(6,2)[]", sure: []string{"{1.005,9999.99,NULL}"}, unsure: []string{"{10000}"}},
		{name: "timestamp(0)[]", sure: []string{`{"2024-01-02 03:04:05.5",2024-01-02T03:04:05.4}`}, unsure: []string{"{now}"}},
	}
	for _, c := range scalarCases() {
		cases = append(cases, typeCase{
			name: c.name + "[]", json: c.json, since: c.since,
			sure:   arraysOf(c.sure),
			unsure: arraysOf(c.unsure),
		})
	}
	return cases
}

// arraysOf returns, for each text, an array that has it as an element between two
// nulls.
func arraysOf(texts []string) []string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	arrays := make([]string, len(texts))
	for i, s := range texts {
		arrays[i] = `{NULL,"` + escape.Replace(s) + `",NULL}`
	}
	return arrays
}

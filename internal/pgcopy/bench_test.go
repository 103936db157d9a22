package pgcopy_test

import "testing"

func BenchmarkEncoder(b *testing.B) {
	for _, bench := range []struct{ typeName, text string }{
		{"smallint", "-1234"},
		{"integer", "1234567"},
		{"bigint", "1234567890123"},
		{"real", "3.14159"},
		{"double precision", "-123.456789e-3"},
		{"numeric", "12345.67"},
		{"boolean", "true"},
		{"text", "Marketing campaign 7"},
		{"text", "http://example.com/images/0123456789/banner.png?width=300&height=250"},
		{"text", "Übergrößenträger und Maßbänder"},
		{"varchar(5)", "abc"},
		{"jsonb", `{"a": 1, "b": [true, null, "text"]}`},
		{"bytea", `\x00112233445566778899aabbccddeeff`},
		{"uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{"date", "2024-02-29"},
		{"timestamp", "2024-02-29 23:59:59"},
		{"timestamp", "2024-02-29 23:59:59.123456"},
		{"timestamptz", "2024-02-29T23:59:59.123+05:30"},
		{"varchar[]", "{}"},
		{"varchar[]", "{http://example.com/a,http://example.org/b}"},
		{"varchar[]", `{"a, b","say \"hello\""}`},
		{"integer[]", "{1,2,3,4,5,6,7,8}"},
	} {
		b.Run(bench.typeName+"="+bench.text[:min(len(bench.text), 20)], func(b *testing.B) {
			enc := encoderOf(b, bench.typeName, allOpts)
			dst, v := make([]byte, 0, 1024), []byte(bench.text)
			b.SetBytes(int64(len(v)))
			b.ReportAllocs()
			for b.Loop() {
				if _, sure := enc(dst, v); !sure {
					b.Fatal("not sure")
				}
			}
		})
	}
}

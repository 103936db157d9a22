package verify_test

import (
	"context"
	"strings"
	"testing"

	"shardload/internal/pgtest"
	"shardload/internal/verify"
)

// Files of each dialect of CSV are read as COPY reads them, lines before the header are no
// records, and where something else is said of them they differ.
func TestDeepReadsDialects(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	exec(t, conn, "CREATE TABLE t (id int, a text, b text)")
	for name, tt := range map[string]struct {
		text, copy string
		reading    verify.Reading
	}{
		"quote":  {"1,'it''s, so',\"\n2,'a\nb','x'\n", "QUOTE ''''", verify.Reading{Quote: '\''}},
		"escape": {"1,\"a\\\"b\",c\\\n2,\"a\\\\\",\"b\n\"\n", `ESCAPE '\'`, verify.Reading{Escape: '\\'}},
		"force":  {"1,\"\",\n2,\"\",x\n", "FORCE_NULL (a), FORCE_NOT_NULL (b)", verify.Reading{ForceNull: []string{"a"}, ForceNotNull: []string{"b"}}},
		"all":    {"1,\"\",\"\"\n2,\"\",x\n", "FORCE_NULL (id, a, b)", verify.Reading{ForceNull: []string{"*"}}},
	} {
		exec(t, conn, "TRUNCATE t")
		copyFile(t, conn, "t", writeFile(t, "plain.csv", tt.text), "FORMAT csv, "+tt.copy)
		for _, before := range []string{"", "made by \"x\n\n"} {
			file := writeFile(t, "t.csv", before+"id,a,b\n"+tt.text)
			reading := tt.reading
			reading.Skip = strings.Count(before, "\n")
			if check := deep(t, conn, "t", reading, file); !check.Same() || check.Database.Rows != 2 {
				t.Errorf("%s, %d lines before: %s\n%s", name, reading.Skip, check.Problem, strings.Join(check.Details, "\n"))
			}
			other, err := verify.Deep(context.Background(), verify.DeepConfig{Conn: conn.Config(), Table: "t", Reading: verify.Reading{Skip: reading.Skip}, Inputs: []verify.Input{verify.File(file)}})
			if err == nil && other.Same() {
				t.Errorf("%s: the usual dialect gives the same", name)
			}
		}
	}
	exec(t, conn, "TRUNCATE t", `INSERT INTO t VALUES (1, 'say "hi', 'C:\new')`)
	file := writeFile(t, "t.csv", "id|a|b\n1|say \"hi|C:\\new\n")
	if check := deep(t, conn, "t", verify.Reading{NoQuotes: true, Delimiter: '|', Header: verify.HeaderMatch}, file); !check.Same() || check.Database.Rows != 1 {
		t.Errorf("no quotes: %s\n%s", check.Problem, strings.Join(check.Details, "\n"))
	}
	_, err := verify.Deep(context.Background(), verify.DeepConfig{Conn: conn.Config(), Table: "t", Reading: verify.Reading{ForceNull: []string{"c"}}, Inputs: []verify.Input{verify.File(file)}})
	if err == nil || !strings.Contains(err.Error(), `column "c"`) {
		t.Errorf("an unknown column: %v", err)
	}
}

// The line \. is a record where the server's COPY takes it for one: from PostgreSQL 18 on.
func TestDeepReadsAnEndMark(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	exec(t, conn, "CREATE TABLE t (a text)", `INSERT INTO t VALUES ('x'), ('\.'), ('y')`)
	check := deep(t, conn, "t", verify.Reading{Header: verify.HeaderNo}, writeFile(t, "t.csv", "x\n\\.\ny\n"))
	isData := pgtest.Version(t, conn) >= 18
	if check.Same() != isData || !isData && check.Unloadable.Records != 1 {
		t.Errorf("%+v", check)
	}
}

// Files of an encoding that the server cannot use itself are converted as the server does, and so
// are the records that were rejected of them.
func TestDeepConvertsCharsets(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	exec(t, conn, "CREATE TABLE t (id int, a text)")
	good := "1|\xd5\x5c\n2|\"\xae\x7c\"\n"
	copyFile(t, conn, "t", writeFile(t, "good.csv", good), "FORMAT csv, DELIMITER '|', ENCODING 'GBK'")
	file := writeFile(t, "t.csv", good+"three|\xd5\x5c\n4|\xff\xff\n")
	reading := verify.Reading{Encoding: "gbk", Delimiter: '|', Header: verify.HeaderNo}
	check := deep(t, conn, "t", reading, file)
	if check.Unloadable.Records != 2 || check.Database.Rows != 2 || !strings.HasSuffix(check.Unloadable.First, `t.csv:3: column "id": invalid input syntax for type integer: "three"`) {
		t.Errorf("%+v", check)
	}
	list := writeFile(t, "t.rejects.jsonl", `{"input":"t.csv","line":3,"record_base64":"dGhyZWV81Vw="}`+"\n"+`{"input":"t.csv","line":4,"record_base64":"NHz//w=="}`+"\n")
	check, err := verify.Deep(context.Background(), verify.DeepConfig{Conn: conn.Config(), Table: "t", Reading: reading, Rejects: []string{list}, Inputs: []verify.Input{verify.File(file)}})
	if err != nil || !check.Same() || check.Rejected != 2 {
		t.Errorf("with the rejected records left out: %+v, %v", check, err)
	}
	exec(t, conn, "UPDATE t SET a = 'x' WHERE id = 2")
	if check := deep(t, conn, "t", reading, writeFile(t, "good.csv", good)); check.Same() {
		t.Error("another value is the same")
	}
}

package shape

import (
	"fmt"
	"strconv"
	"strings"

	"shardload/schema"
)

// wide has the columns of the table hits of ClickBench (github.com/ClickHouse/ClickBench), in
// their order, and rows of about its size; most values are small, as there.
var wide = Shape{
	Name: "wide", About: "105 columns, as ClickBench's hits",
	Table: schema.Table{
		Columns:            wideColumns(),
		PrimaryKey:         []string{"counterid", "eventdate", "userid", "eventtime", "watchid"},
		DistributionColumn: "userid",
	},
	Rows: 300_000,
	row: func(dst []byte, d *dice) []byte {
		at := moment(d) // the same in all of a row's times
		for i, c := range hitsColumns {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = kinds[c.kind].value(dst, d, at)
		}
		return dst
	},
}

// hits has each column with the kind of its values.
const hits = `watchid:id javaenable:flag title:title goodevent:flag eventtime:time eventdate:date counterid:counter clientip:int
	regionid:region userid:user counterclass:zero os:small useragent:small url:url referer:url isrefresh:flag
	referercategoryid:small refererregionid:region urlcategoryid:small urlregionid:region resolutionwidth:pixels
	resolutionheight:pixels resolutiondepth:small flashmajor:small flashminor:zero flashminor2:empty netmajor:zero netminor:zero
	useragentmajor:small useragentminor:version cookieenable:flag javascriptenable:flag ismobile:flag mobilephone:zero
	mobilephonemodel:empty params:empty ipnetworkid:region traficsourceid:small searchengineid:zero searchphrase:phrase
	advengineid:zero isartifical:flag windowclientwidth:pixels windowclientheight:pixels clienttimezone:small
	clienteventtime:time silverlightversion1:zero silverlightversion2:zero silverlightversion3:nothing silverlightversion4:zero
	pagecharset:code codeversion:region islink:flag isdownload:flag isnotbounce:flag funiqid:big originalurl:empty hid:int
	isoldcounter:flag isevent:flag isparameter:flag dontcounthits:flag withhash:flag hitcolor:letter localeventtime:time
	age:small sex:flag income:small interests:pixels robotness:small remoteip:int windowname:int openername:int
	historylength:small browserlanguage:code browsercountry:code socialnetwork:empty socialaction:empty httperror:zero
	sendtiming:nothing dnstiming:nothing connecttiming:nothing responsestarttiming:region responseendtiming:region
	fetchtiming:region socialsourcenetworkid:zero socialsourcepage:empty paramprice:none paramorderid:empty
	paramcurrency:code paramcurrencyid:zero openstatservicename:empty openstatcampaignid:empty openstatadid:empty
	openstatsourceid:empty utmsource:empty utmmedium:empty utmcampaign:empty utmcontent:empty utmterm:empty fromtag:empty
	hasgclid:flag refererhash:big urlhash:big clid:nothing`

// A hitsColumn is a column of hits.
type hitsColumn struct{ name, kind string }

var hitsColumns = func() (list []hitsColumn) {
	for _, word := range strings.Fields(hits) {
		name, kind, _ := strings.Cut(word, ":")
		list = append(list, hitsColumn{name, kind})
	}
	return list
}()

func wideColumns() (list []schema.Column) {
	for _, c := range hitsColumns {
		list = append(list, schema.Column{Name: c.name, Type: kinds[c.kind].sql, NotNull: true})
	}
	return list
}

// A kind is a type with the way to make its values. at is the row's time.
type kind struct {
	sql   string
	value func(dst []byte, d *dice, at string) []byte
}

var kinds = map[string]kind{
	"id": {"bigint", func(dst []byte, d *dice, _ string) []byte { return strconv.AppendInt(dst, int64(d.unique()), 10) }},
	"user": {"bigint", func(dst []byte, d *dice, _ string) []byte {
		return strconv.AppendUint(dst, uint64(d.few(1e5)+1)*golden>>1, 10)
	}},
	"big":  {"bigint", func(dst []byte, d *dice, _ string) []byte { return strconv.AppendInt(dst, d.Int64(), 10) }},
	"none": {"bigint", func(dst []byte, _ *dice, _ string) []byte { return append(dst, '0') }},
	"int": {"integer", func(dst []byte, d *dice, _ string) []byte {
		return strconv.AppendInt(dst, int64(int32(d.Uint32())), 10)
	}},
	"counter": {"integer", number(8000)},
	"region":  {"integer", number(1000)},
	"nothing": {"integer", number(1)},
	"small":   {"smallint", number(100)},
	"pixels":  {"smallint", number(2000)},
	"flag":    {"smallint", number(2)},
	"zero":    {"smallint", number(1)},
	"letter":  {"character(1)", func(dst []byte, d *dice, _ string) []byte { return append(dst, "5ABCDEFS"[d.IntN(8)]) }},
	"time":    {"timestamp without time zone", func(dst []byte, _ *dice, at string) []byte { return append(dst, at...) }},
	"date":    {"date", func(dst []byte, _ *dice, at string) []byte { return append(dst, at[:len("2006-01-02")]...) }},
	"empty":   {"text", func(dst []byte, _ *dice, _ string) []byte { return append(dst, `""`...) }}, // unquoted it would be NULL
	"code": {"text", func(dst []byte, d *dice, _ string) []byte {
		return append(dst, d.of([]string{"de", "en", "fr", "ja", "tr"})...)
	}},
	"version": {"character varying(255)", func(dst []byte, d *dice, _ string) []byte { return fmt.Appendf(dst, "%d.%d", d.IntN(99), d.IntN(9)) }},
	"title": {"text", func(dst []byte, d *dice, _ string) []byte {
		return append(text(append(dst, '"'), d, 10), ` – ""news"", shop"`...)
	}},
	"url": {"text", func(dst []byte, d *dice, _ string) []byte {
		return fmt.Appendf(dst, "http://%s.example.com/%s/%s/%s?id=%d&from=%s-%s", d.of(words), d.of(words), d.of(words), d.of(words), d.IntN(1e9), d.of(words), d.of(words))
	}},
	"phrase": {"text", func(dst []byte, d *dice, _ string) []byte {
		if d.IntN(8) > 0 {
			return append(dst, `""`...)
		}
		return text(dst, d, 3)
	}},
}

// number makes numbers from 0 on, below n, of which small ones are more frequent.
func number(n int) func([]byte, *dice, string) []byte {
	return func(dst []byte, d *dice, _ string) []byte { return strconv.AppendInt(dst, int64(d.few(n)), 10) }
}

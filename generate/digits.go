package generate

// digits has every number below 100, to copy two digits at a time.
const digits = "00010203040506070809101112131415161718192021222324" +
	"25262728293031323334353637383940414243444546474849" +
	"50515253545556575859606162636465666768697071727374" +
	"75767778798081828384858687888990919293949596979899"

// appendInt appends v in decimal. With strconv.AppendInt, which has other things
// to think of, a row of ads takes a third longer.
func appendInt(dst []byte, v uint64) []byte {
	var buf [20]byte // 2^64 has as many digits
	i := len(buf)
	for v >= 100 {
		pair := v % 100 * 2
		v /= 100
		i -= 2
		buf[i], buf[i+1] = digits[pair], digits[pair+1]
	}
	if v >= 10 {
		i--
		buf[i] = digits[v*2+1]
		v /= 10
	}
	i--
	buf[i] = '0' + byte(v)
	return append(dst, buf[i:]...)
}

// appendHex appends the lower half of v as eight digits.
func appendHex(dst []byte, v uint64) []byte {
	const hex = "0123456789abcdef"
	var buf [8]byte
	for i := range buf {
		buf[i] = hex[v>>(28-4*i)&15]
	}
	return append(dst, buf[:]...)
}

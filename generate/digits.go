package generate

import (
	"encoding/binary"
	"math/bits"
)

// Numbers are written eight digits at a time, in the bytes of one 64-bit word whose
// lowest byte is the first digit: no loop, and no branch that depends on how many
// digits there are. With strconv.AppendInt, which has other things to think of, a
// row of ads takes a third longer.

const (
	zeros  = 0x3030303030303030 // eight times '0'
	eights = 100_000_000        // one more than eight digits can say
)

// digits8 returns the eight digits of v < 10^8, each as a number, the first one in
// the lowest byte. It halves v three times: into fours, pairs and single digits.
// x·10486>>20 is x/100 for x < 10^4, and x·103>>10 is x/10 for x < 100.
func digits8(v uint64) uint64 {
	v = v/10_000 | v%10_000<<32
	hundreds := v * 10486 >> 20 & 0x7F_0000_007F
	v = hundreds | (v-100*hundreds)<<16
	tens := v * 103 >> 10 & 0x000F_000F_000F_000F
	return tens | (v-10*tens)<<8
}

// appendInt appends v in decimal.
func appendInt(dst []byte, v uint64) []byte {
	if v >= eights {
		dst = appendInt(dst, v/eights)
		return binary.LittleEndian.AppendUint64(dst, digits8(v%eights)|zeros)
	}
	digits := digits8(v)
	leading := bits.TrailingZeros64(digits|1<<56) &^ 7 // the last digit stays, even if it is 0
	dst = binary.LittleEndian.AppendUint64(dst, (digits|zeros)>>leading)
	return dst[:len(dst)-leading/8]
}

// appendHex appends the lower half of v as eight digits.
func appendHex(dst []byte, v uint64) []byte {
	v = uint64(bits.ReverseBytes32(uint32(v))) // the first digits lowest
	v = (v | v<<16) & 0x0000FFFF_0000FFFF
	v = (v | v<<8) & 0x00FF00FF_00FF00FF
	v = (v>>4 | v<<8) & 0x0F0F0F0F_0F0F0F0F
	letters := (v + 0x0606060606060606) >> 4 & 0x0101010101010101
	return binary.LittleEndian.AppendUint64(dst, v+zeros+letters*('a'-'0'-10))
}

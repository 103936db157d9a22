package pgcopy

func boolean(dst, v []byte) ([]byte, bool) {
	switch string(v) {
	case "t", "T", "true", "TRUE", "True", "y", "Y", "yes", "YES", "Yes", "on", "ON", "On", "1":
		return append(dst, 0, 0, 0, 1, 1), true
	case "f", "F", "false", "FALSE", "False", "n", "N", "no", "NO", "No", "off", "OFF", "Off", "0":
		return append(dst, 0, 0, 0, 1, 0), true
	}
	return dst, false
}

package plan

// Extent is one line of an id map, as in /proc/PID/uid_map (user_namespaces(7)):
// Count ids from Inside upwards in the user namespace stand for the ids from
// Outside upwards in its parent. Count is at least 1 and neither range passes
// 4294967295, which is no id.
type Extent struct {
	Inside  uint32 `json:"inside"`
	Outside uint32 `json:"outside"`
	Count   uint32 `json:"count"`
}

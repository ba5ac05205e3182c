package seccomp

// lookup is the row of callNumbers for a name.
func lookup(name string) (row int, ok bool) {
	low, high := 0, callCount
	for low < high {
		mid := (low + high) / 2
		if callName(mid) < name {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, low < callCount && callName(low) == name
}

// callName is the name of a row.
func callName(row int) string {
	begin := uint16(0)
	if row > 0 {
		begin = callEnds[row-1]
	}
	return callNames[begin:callEnds[row]]
}

// subcall says that on i386 the call name can also be made through another one,
// via, as its subcall n: socketcall(2) or ipc(2), with the numbers of linux/net.h
// and linux/ipc.h. via is empty for all others.
func subcall(name string) (via string, n uint32) {
	switch name {
	case "socket":
		return "socketcall", 1
	case "bind":
		return "socketcall", 2
	case "connect":
		return "socketcall", 3
	case "listen":
		return "socketcall", 4
	case "accept":
		return "socketcall", 5
	case "getsockname":
		return "socketcall", 6
	case "getpeername":
		return "socketcall", 7
	case "socketpair":
		return "socketcall", 8
	case "send":
		return "socketcall", 9
	case "recv":
		return "socketcall", 10
	case "sendto":
		return "socketcall", 11
	case "recvfrom":
		return "socketcall", 12
	case "shutdown":
		return "socketcall", 13
	case "setsockopt":
		return "socketcall", 14
	case "getsockopt":
		return "socketcall", 15
	case "sendmsg":
		return "socketcall", 16
	case "recvmsg":
		return "socketcall", 17
	case "accept4":
		return "socketcall", 18
	case "recvmmsg":
		return "socketcall", 19
	case "sendmmsg":
		return "socketcall", 20
	case "semop":
		return "ipc", 1
	case "semget":
		return "ipc", 2
	case "semctl":
		return "ipc", 3
	case "semtimedop":
		return "ipc", 4
	case "msgsnd":
		return "ipc", 11
	case "msgrcv":
		return "ipc", 12
	case "msgget":
		return "ipc", 13
	case "msgctl":
		return "ipc", 14
	case "shmat":
		return "ipc", 21
	case "shmdt":
		return "ipc", 22
	case "shmget":
		return "ipc", 23
	case "shmctl":
		return "ipc", 24
	}
	return "", 0
}

package plan

import "fmt"

// Rule says that every step of the kind Before stands before every step of the
// kind After. Where Actor is not 0xff it speaks of that actor's steps alone.
type Rule struct {
	Before, After Kind
	Actor         Actor
	Why           string
}

// AnyActor is a Rule's actor where the rule holds between all of them.
const AnyActor Actor = 0xff

// Rules is the order of a start. Tests shuffle plans against it.
var Rules = []Rule{
	{KindLeaveChroot, KindStartInit, AnyActor, "in a chroot the kernel makes no user namespace"},
	{KindLeaveChroot, KindStartKeeper, AnyActor, "in a chroot the kernel makes no user namespace"},
	{KindStartKeeper, KindStartInit, AnyActor, "the keeper is the parent of init"},
	{KindDieWithParent, KindStartInit, Keeper, "a launcher that dies early must leave nothing behind"},
	{KindStartInit, KindWaitFor, Keeper, "init is its child"},
	{KindWaitFor, KindExecKeeper, Keeper, "what outlives the launcher must run"},
	{KindStartJoiner, KindJoin, AnyActor, "the launcher itself stays outside"},
	{KindJoinCgroup, KindJoin, AnyActor, "a process is moved by those who see it and its new group"},
	{KindDieWithParent, KindOwnMemory, Joiner, "a launcher that dies early must leave nothing behind"},
	{KindOwnMemory, KindHideMemory, Joiner, "an exec makes the memory readable"},
	{KindOwnMemory, KindJoin, Joiner, "the container must not reach the launcher's binary and descriptors"},
	{KindHideMemory, KindJoin, Joiner, "the container must not look into who joins it"},
	{KindStdin, KindJoin, Joiner, "the container's /dev/null may be anything"},
	{KindJoin, KindStartInit, Joiner, "init is born in the namespaces"},
	{KindStartInit, KindMapIDs, AnyActor, "there is no user namespace to map before it"},
	{KindDieWithParent, KindMapIDs, AnyActor, "a launcher that dies while ids are mapped must leave nothing behind"},
	{KindStartInit, KindWriteMaps, Joiner, "there is no user namespace to map before it"},
	{KindWriteMaps, KindMapIDs, AnyActor, "that waits for it"},
	{KindMapIDs, KindSetIDs, AnyActor, "without a map every id is the overflow id"},
	{KindDieWithParent, KindGroup, AnyActor, "a launcher that dies while systemd works must leave nothing behind"},
	{KindJoin, KindWriteMaps, Joiner, "the writer must be in the namespace around"},
	{KindJoin, KindSendLink, Linker, "it would be asked for on the host"},
	{KindBindPorts, KindStartInit, AnyActor, "a busy port is an error before there is a container"},
	{KindMapIDs, KindSendUserNS, AnyActor, "who executes a program there would lose the capabilities"},
	{KindSendUserNS, KindSetIDs, Init, "it would not be dumpable, and what /proc has of it root's"},
	{KindSendUserNS, KindStartHelper, AnyActor, "it is what the helper joins"},
	{KindUnshare, KindSendNetNS, Command, "it would be the host's"},
	{KindUnshare, KindSysctl, Command, "it would be the host's"},
	{KindSendNetNS, KindLetGo, Command, "init would come to its next turn before there is a net namespace to start helpers for"},
	{KindSendNetNS, KindGiveNetNS, AnyActor, "it is what is given"},
	{KindGiveNetNS, KindAwaitNetwork, AnyActor, "the driver waits for it"},
	{KindStartHelper, KindAwaitNetwork, AnyActor, "it is what is waited for"},
	{KindMakeVeth, KindAwaitNetwork, AnyActor, "it is what is waited for"},
	{KindJoinContainer, KindNewPIDNamespace, AnyActor, "it takes CAP_SYS_ADMIN, which the container's user namespace gives"},
	{KindNewPIDNamespace, KindExecGuard, AnyActor, "the guard's end must end the helper"},
	{KindJoinNet, KindLink, Init, "it would be a link of the host"},
	{KindAwaitNetwork, KindLink, AnyActor, "the link must be there, and its addresses known"},
	{KindLink, KindCaps, Init, "it takes CAP_NET_ADMIN"},
	{KindLink, KindLetGo, Init, "the command starts with its network"},
	{KindGroup, KindSetIDs, AnyActor, "systemd moves processes of the caller's own id alone"},
	{KindGroup, KindUnshare, AnyActor, "the group is the root of the container's group namespace"},
	{KindMapIDs, KindUnshare, AnyActor, "what a namespace holds gets its owner when it is created"},
	{KindMapIDs, KindStage, AnyActor, "files of unmapped ids are EOVERFLOW"},
	{KindUnshare, KindLoopback, AnyActor, "it would be the host's lo"},
	{KindUnshare, KindHostname, AnyActor, "it would be the host's name"},
	{KindUnshare, KindPropagate, AnyActor, "it would be the host's mounts"},
	{KindPropagate, KindStage, AnyActor, "mounts would propagate to the host"},
	{KindPropagate, KindAttach, AnyActor, "mounts would propagate to the host"},
	{KindPropagate, KindMount, AnyActor, "mounts would propagate to the host"},
	{KindPropagate, KindBind, AnyActor, "mounts would propagate to the host"},
	{KindStage, KindAttach, AnyActor, "trees are attached in the stage"},
	{KindStage, KindNewRoot, AnyActor, "the new root lies in the stage"},
	{KindNewRoot, KindOpenRoot, AnyActor, "the mount, not the directory under it, is opened"},
	{KindOpenRoot, KindMountPoint, AnyActor, "paths resolve from the new root"},
	{KindOpenRoot, KindMount, AnyActor, "paths resolve from the new root"},
	{KindOpenRoot, KindBind, AnyActor, "paths resolve from the new root"},
	{KindCopy, KindMount, AnyActor, "the copy would be written into a mount below the root"},
	{KindCopy, KindMountPoint, AnyActor, "the copy is made into an empty root"},
	{KindOpenNull, KindMask, AnyActor, "masks are binds of it"},
	{KindMountPoint, KindReadOnlyRoot, AnyActor, "it writes to the root"},
	{KindMount, KindPivot, AnyActor, "the host's tree is gone afterwards"},
	{KindBind, KindPivot, AnyActor, "the host's tree is gone afterwards"},
	{KindFile, KindPivot, AnyActor, "the stage is gone afterwards"},
	{KindMask, KindPivot, AnyActor, "the command starts after it"},
	{KindReadOnlyRoot, KindPivot, AnyActor, "the root's fd is used"},
	{KindStartCommand, KindJoinNet, Init, "the command makes the net namespace"},
	{KindPivot, KindLetGo, Init, "the command must not see the host's tree"},
	{KindJoinNet, KindHideMemory, AnyActor, "setns by pidfd needs dumpable memory"},
	{KindHideMemory, KindLetGo, Init, "/proc/1 shows the launcher until init executes"},
	{KindWaitFor, KindChdir, Command, "before, paths are the host's"},
	{KindWaitFor, KindOpenTerminal, Command, "before, /dev/pts is the host's"},
	{KindWaitFor, KindExec, Command, "the command must not see the host's tree"},
	{KindOpenTerminal, KindTakeTerminal, AnyActor, "it is taken by its fd"},
	{KindPivot, KindOpenTerminal, Init, "before, /dev/pts is the host's"},
	{KindPivot, KindChdir, Init, "before, paths are the host's"},
	{KindPivot, KindExec, Init, "the command must not see the host's tree"},
	{KindPivot, KindSignals, Init, "a signal would end it half made, and nobody would say so"},
	{KindMapIDs, KindHideMemory, AnyActor, "files below /proc/PID of a non-dumpable process belong to root"},
	{KindPivot, KindBounding, Init, "a helper of a step is executed with what the bounding set has"},
	{KindPivot, KindCaps, Init, "mounts need capabilities"},
	{KindBounding, KindCaps, AnyActor, "dropping from the bounding set needs CAP_SETPCAP"},
	{KindSession, KindTakeTerminal, AnyActor, "only a session leader gets a controlling terminal"},
	{KindBounding, KindKeepCaps, AnyActor, "privileges drop in this order: bounding set, ids, sets"},
	{KindCaps, KindAmbient, AnyActor, "ambient needs permitted and inheritable"},
	{KindCaps, KindNoNewPrivs, AnyActor, "it comes with the filter, behind everything that may fail"},
	{KindNoNewPrivs, KindSeccomp, AnyActor, "without it a filter needs CAP_SYS_ADMIN"},
	{KindSignals, KindSeccomp, AnyActor, "the filter may refuse rt_sigprocmask"},
	{KindCloseOnExec, KindExec, AnyActor, "the launcher's fds would stay open"},
	{KindSeccomp, KindExec, AnyActor, "nothing of the command runs without the filter"},
	{KindNoNewPrivs, KindExecInit, Init, "pid 1 gains nothing either"},
	{KindBounding, KindExecInit, Init, "an exec by uid 0 would bring all capabilities back"},
}

// Check returns an error that names the first rule which the plan breaks, with
// its two steps.
func (p *Plan) Check() error {
	for _, r := range Rules {
		first := [...]int{Parent: -1, Keeper: -1, Joiner: -1, Init: -1, Command: -1, Driver: -1, Forwarder: -1, Linker: -1} // of After, by actor
		for i, e := range p.Entries {
			if r.Actor != AnyActor && e.Actor != r.Actor {
				continue
			}
			kind := e.Step.Kind()
			if kind == r.After && first[e.Actor] < 0 {
				first[e.Actor] = i
			}
			if kind != r.Before {
				continue
			}
			for a, j := range first {
				if j >= 0 && sameRun(e.Actor, Actor(a)) {
					return fmt.Errorf("step %d (%s) must stand before step %d (%s): %s",
						i+1, e.Step, j+1, p.Entries[j].Step, r.Why)
				}
			}
		}
	}
	return nil
}

// sameRun reports whether the order of two actors' steps is that of the list:
// init and command run side by side.
func sameRun(a, b Actor) bool {
	return a == b || a == Parent || b == Parent
}

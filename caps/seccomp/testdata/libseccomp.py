"""Compile seccomp profiles with libseccomp, for comparison.

Reads a JSON list of cases from stdin, each with a profile in docker's format, the
machine's architecture in Go's terms, the capabilities held and the kernel's
release; writes a JSON list of results, each with the program in base64 and
the names that this libseccomp does not know.

The cut to the environment is done as moby does it, the calls of libseccomp are
made as runc makes them. "refuse" lists rules for programs of their own, which are
loaded beside the first: the kernel takes the strictest verdict. They are one
each, since on an architecture that lacks a call libseccomp 2.5 loses the rules
for others when it makes one for that.
"""

import base64
import json
import sys
import tempfile

import seccomp

ARCH = seccomp.Arch
ARCHES = {
    "SCMP_ARCH_X86_64": ARCH.X86_64, "SCMP_ARCH_X86": ARCH.X86, "SCMP_ARCH_X32": ARCH.X32,
    "SCMP_ARCH_AARCH64": ARCH.AARCH64, "SCMP_ARCH_ARM": ARCH.ARM,
}
HOSTS = {"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64"}
ACTIONS = {
    "SCMP_ACT_ALLOW": seccomp.ALLOW, "SCMP_ACT_LOG": seccomp.LOG, "SCMP_ACT_TRAP": seccomp.TRAP,
    "SCMP_ACT_KILL": seccomp.KILL, "SCMP_ACT_KILL_THREAD": seccomp.KILL,
    "SCMP_ACT_KILL_PROCESS": seccomp.KILL_PROCESS,
}
OPS = {
    "SCMP_CMP_NE": seccomp.NE, "SCMP_CMP_LT": seccomp.LT, "SCMP_CMP_LE": seccomp.LE,
    "SCMP_CMP_EQ": seccomp.EQ, "SCMP_CMP_GE": seccomp.GE, "SCMP_CMP_GT": seccomp.GT,
}
EPERM = 1


def action(name, errno):
    errno = EPERM if errno is None else errno
    if name == "SCMP_ACT_ERRNO":
        return seccomp.ERRNO(errno)
    if name == "SCMP_ACT_TRACE":
        return seccomp.TRACE(errno)
    return ACTIONS[name]


def condition(arg):
    if arg["op"] == "SCMP_CMP_MASKED_EQ":
        return seccomp.Arg(arg["index"], seccomp.MASKED_EQ, arg.get("value", 0), arg.get("valueTwo", 0))
    return seccomp.Arg(arg["index"], OPS[arg["op"]], arg.get("value", 0))


def release(text):
    return tuple(int(part) for part in text.split("."))


def applies(rule, case):
    caps, arch, kernel = set(case["caps"] or []), case["arch"], tuple(case["kernel"])
    no = rule.get("excludes") or {}
    if arch in no.get("arches", []) or caps & set(no.get("caps", [])):
        return False
    if "minKernel" in no and kernel >= release(no["minKernel"]):
        return False
    yes = rule.get("includes") or {}
    if yes.get("arches") and arch not in yes["arches"]:
        return False
    if set(yes.get("caps", [])) - caps:
        return False
    return "minKernel" not in yes or kernel >= release(yes["minKernel"])


def arches(profile, host):
    names = list(profile.get("architectures") or [])
    for entry in profile.get("archMap") or []:
        if entry["architecture"] == host:
            names += entry["subArchitectures"] or []
            break
    return [host] + [n for n in names if n in ARCHES and n != host]


def known(name):
    return seccomp.resolve_syscall(ARCH.NATIVE, name) != -1


def empty(default, names):
    f = seccomp.SyscallFilter(default)
    for name in names:
        if not f.exist_arch(ARCHES[name]):
            f.add_arch(ARCHES[name])
    for name, arch in ARCHES.items():
        if name not in names and f.exist_arch(arch):
            f.remove_arch(arch)  # a filter has that of the machine it is made on
    return f


def add(f, rules, case, default):
    unknown = set()
    for rule in rules:
        act = action(rule["action"], rule.get("errnoRet"))
        names = [rule["name"]] if rule.get("name") else rule.get("names") or []
        args = rule.get("args") or []
        indexes = [a["index"] for a in args]
        if len(set(indexes)) < len(indexes):
            sets = [[a] for a in args]
        else:
            sets = [args]
        for name in names:
            if not known(name):
                unknown.add(name)
            elif applies(rule, case) and act != default:
                for one in sets:
                    try:
                        f.add_rule(act, name, *[condition(a) for a in one])
                    except RuntimeError as e:
                        raise RuntimeError(f"add rule for {name}: {rule}") from e
    return unknown


def export(f):
    with tempfile.TemporaryFile() as file:
        f.export_bpf(file)
        file.seek(0)
        return base64.b64encode(file.read()).decode()


def compile_case(case):
    profile = case["profile"]
    names = arches(profile, HOSTS[case["arch"]])
    default = action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    f = empty(default, names)
    result = {"unknown": sorted(add(f, profile["syscalls"] or [], case, default)), "program": export(f)}
    result["refuse"] = []
    for rule in case.get("refuse") or []:
        f = empty(seccomp.ALLOW, names)
        add(f, [rule], case, seccomp.ALLOW)
        result["refuse"].append(export(f))
    return result


if __name__ == "__main__":
    json.dump([compile_case(case) for case in json.load(sys.stdin)], sys.stdout)

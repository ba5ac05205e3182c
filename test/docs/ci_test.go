package docs

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// recipe reads a file of docs/ci into v.
func recipe(t *testing.T, name string, v any) {
	t.Helper()
	// on is true in YAML 1.1, and no key that JSON could have.
	const toJSON = `import json, sys, yaml; d = yaml.safe_load(open(sys.argv[1])); d.pop(True, None); print(json.dumps(d))`
	text := trial.Command{Path: "python3", Args: []string{"-c", toJSON, "../../docs/ci/" + name}}.Run(t).OK(t)
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, text)
	}
}

// place is a working directory that all may write to.
func place(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "work")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// pod runs a script in a container that lets it make namespaces, as those of the recipes do, and masks
// its /proc as they do.
func pod(t *testing.T, script string, options ...string) {
	t.Helper()
	trial.NeedUser(t)
	leak.Watch(t)
	dir := place(t)
	args := append([]string{
		"--quiet", "--net=none", "--security-opt", "seccomp=unconfined", "--tmpfs", "/run",
		"-v", filepath.Dir(trial.Bin(t, "rl-run")) + ":/usr/local/bin:ro", "-v", trial.NeedTool(t, "busybox") + ":/bin/busybox:ro",
		"-v", dir + ":/work", "-w", "/work",
	}, options...)
	trial.Command{Args: append(args, trial.Tree(t, "debian"), "sh", "-euc", script), Timeout: 2 * time.Minute}.Run(t).OK(t)
	built(t, dir)
}

func built(t *testing.T, dir string) {
	t.Helper()
	if text, err := os.ReadFile(filepath.Join(dir, "made-inside")); err != nil || string(text) != "0\n" {
		t.Errorf("the job has left %q, %v", text, err)
	}
}

func TestGitLab(t *testing.T) {
	var r struct {
		Build struct {
			Image  string
			Script []string
		}
	}
	recipe(t, "gitlab.yml", &r)
	if r.Build.Image == "" || len(r.Build.Script) == 0 {
		t.Fatalf("got %+v", r)
	}
	// Root of a container, with what Docker leaves it.
	pod(t, strings.Join(r.Build.Script, "\n"), "--cap-add=NET_RAW,MKNOD,AUDIT_WRITE", "--security-opt", "no-new-privileges=false")
}

func TestKubernetes(t *testing.T) {
	var r struct {
		Kind string
		Spec struct {
			SecurityContext struct{ RunAsUser, RunAsGroup int }
			Containers      []struct {
				Command, Args   []string
				SecurityContext struct {
					AllowPrivilegeEscalation *bool
					Capabilities             struct{ Drop []string }
					SeccompProfile           struct{ Type string }
				}
			}
		}
	}
	recipe(t, "kubernetes.yaml", &r)
	c := r.Spec.Containers[0]
	s := c.SecurityContext
	if r.Kind != "Pod" || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || strings.Join(s.Capabilities.Drop, " ") != "ALL" ||
		s.SeccompProfile.Type != "Unconfined" || r.Spec.SecurityContext.RunAsUser != 1000 || strings.Join(c.Command, " ") != "sh -euc" {
		t.Fatalf("the test no longer makes what the recipe asks for: %+v", r)
	}
	// The one user, who may not gain privileges; what he writes is the caller's outside.
	pod(t, c.Args[0], "--cap-drop=ALL", "--userns=keep-id")
}

func TestGitHub(t *testing.T) {
	var r struct {
		Jobs struct {
			Build struct {
				RunsOn string `json:"runs-on"`
				Steps  []struct{ Name, Run string }
			}
		}
	}
	recipe(t, "github.yml", &r)
	trial.NeedUser(t)
	leak.Watch(t)
	dir := place(t)
	steps := r.Jobs.Build.Steps
	last := steps[len(steps)-1]
	if last.Name != "build" {
		t.Fatalf("got %+v", r)
	}
	trial.Command{
		Path: "bash", Args: []string{"-e", "-c", last.Run}, Dir: dir, Timeout: time.Minute,
		Env: []string{"PATH=" + filepath.Dir(trial.Bin(t, "rl-run")) + ":" + os.Getenv("PATH")},
	}.Run(t).OK(t)
	built(t, dir)
}

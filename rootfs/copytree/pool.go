package copytree

import "sync"

// pool is the work that is left, and who works on it. Work makes further work,
// so nobody goes home before the last one has finished.
type pool[T any] struct {
	mu   sync.Mutex
	more sync.Cond // work was added, or there will be none

	todo []T // a stack: what was found last is nearest to what is open
	busy int // workers between next and next
	err  error
}

// newPool returns a pool for the given number of workers and the first work.
func newPool[T any](workers int, first T) *pool[T] {
	p := &pool[T]{todo: []T{first}, busy: workers}
	p.more.L = &p.mu
	return p
}

// push adds work.
func (p *pool[T]) push(work ...T) {
	if len(work) == 0 {
		return
	}
	p.mu.Lock()
	p.todo = append(p.todo, work...)
	p.mu.Unlock()
	p.more.Broadcast()
}

// next waits for work, and is false when there is none left or err was called.
// A worker asks for the first time and each time when it has done its last.
func (p *pool[T]) next() (work T, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy--
	for len(p.todo) == 0 && p.busy > 0 && p.err == nil {
		p.more.Wait()
	}
	if len(p.todo) == 0 || p.err != nil {
		p.more.Broadcast()
		return work, false
	}
	p.busy++
	work = p.todo[len(p.todo)-1]
	p.todo = p.todo[:len(p.todo)-1]
	return work, true
}

// fail ends the work of all. The first error counts.
func (p *pool[T]) fail(err error) {
	p.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	p.mu.Unlock()
	p.more.Broadcast()
}

// failed returns the error given to fail.
func (p *pool[T]) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// run works off the pool with the given functions, each on a goroutine of its
// own, and returns the first error.
func (p *pool[T]) run(workers []func(T) error) error {
	var wg sync.WaitGroup
	for _, do := range workers {
		wg.Go(func() {
			for {
				work, ok := p.next()
				if !ok {
					return
				}
				if err := do(work); err != nil {
					p.fail(err)
				}
			}
		})
	}
	wg.Wait()
	return p.err
}

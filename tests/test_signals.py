import signal
import threading

import pytest

from denseformer.signals import EXIT_STATUS, SIGNALS, exit_on_signal


@pytest.mark.parametrize('number', SIGNALS)
def test_a_signal_before_training_asks_to_be_started_again(number):
    with pytest.raises(SystemExit) as leaving, exit_on_signal():
        signal.raise_signal(number)
    assert leaving.value.code == EXIT_STATUS


def test_the_handlers_are_put_back_afterwards():
    before = [signal.getsignal(number) for number in SIGNALS]
    with exit_on_signal():
        assert signal.getsignal(signal.SIGTERM) is not before[0]
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_thread_goes_without():
    reached = []

    def work():
        with exit_on_signal():
            reached.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert reached

"""Shell completion scripts for `pointtrack`: commands, their options, and file names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SHELLS = ("bash", "zsh", "fish")

BASH = """# {how}
_pointtrack() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" command="${{COMP_WORDS[1]}}" options=""
    case "$command" in
{cases}
    esac
    if [[ $COMP_CWORD -eq 1 && $word != -* ]]; then
        COMPREPLY=($(compgen -W "{commands}" -- "$word") $(compgen -f -- "$word"))
    elif [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "$options --help --config --debug" -- "$word"))
    else
        COMPREPLY=($(compgen -f -- "$word"))
    fi
}}
complete -o filenames -F _pointtrack pointtrack
"""


def completion_script(shell: str, options: Mapping[str, Sequence[str]]) -> str:
    """The completion script.

    Args:
        shell: bash, zsh or fish.
        options: names of commands -> their options, without leading dashes.

    Raises:
        ValueError: another shell.
    """
    if shell not in SHELLS:
        raise ValueError(f"print_completion: expected one of {', '.join(SHELLS)}, got {shell!r}")
    if shell == "fish":
        names = " ".join(options)
        lines = [
            "# pointtrack --print_completion fish > ~/.config/fish/completions/pointtrack.fish",
            f'complete -c pointtrack -n "__fish_is_first_arg" -a "{names}"',
        ]
        for command, known in options.items():
            seen = f"__fish_seen_subcommand_from {command}"
            lines += [f'complete -c pointtrack -n "{seen}" -l {option}' for option in known]
        return "\n".join(lines) + "\n"
    how = f'eval "$(pointtrack --print_completion {shell})", for example in ~/.{shell}rc'
    cases = "\n".join(
        f'        {command}) options="{" ".join(f"--{option}" for option in known)}" ;;'
        for command, known in options.items()
    )
    script = BASH.format(how=how, cases=cases, commands=" ".join(options))
    return script if shell == "bash" else f"autoload -U +X bashcompinit && bashcompinit\n{script}"

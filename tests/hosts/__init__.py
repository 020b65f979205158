"""The role on real hosts: bare Debian systems that boot systemd, are reached over ssh, and have no way to the internet.

``make test-hosts`` runs the scenarios, as root; ``tests/gates/hosts --install`` brings debootstrap and systemd-nspawn first. The hosts
alone, to look around or to try a playbook on::

    tests/gates/hosts up                    # assembler and uploader; prints what goes into an inventory
    tests/gates/hosts ssh assembler CMD     # as opc, who may sudo
    tests/gates/hosts down
"""

#!/usr/bin/env node
// Installs Azurite, the emulator of Azure Storage, for the tests of that storage: into node_modules/.azurite, because its 200 packages are no
// dependencies of this one. Does nothing where it is there.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const VERSION = '3.37.0'
const directory = fileURLToPath(new URL('../../node_modules/.azurite', import.meta.url))

if (!existsSync(join(directory, 'node_modules', 'azurite', 'package.json'))) {
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'package.json'), '{ "private": true }\n')
  execFileSync('npm', ['install', `azurite@${VERSION}`, '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'], {
    cwd: directory,
    stdio: 'inherit',
    shell: process.platform === 'win32'
  })
}
